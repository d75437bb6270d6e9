// Pages that were opened as files may start no worker, so the search runs in a hidden frame, which looks like one.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.append(frame)
      this.inner = frame.contentWindow
      this.waiting = []
      const script = this.inner.document.createElement("script")
      this.inner.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      script.onload = () => {
        this.waiting.forEach(data => this.send(data))
        this.waiting = null
      }
      script.src = address
      this.inner.document.body.append(script)
    }
    postMessage(data) {
      this.waiting ? this.waiting.push(data) : this.send(data)
    }
    send(data) {
      this.inner.dispatchEvent(new MessageEvent("message", { data }))
    }
    terminate() {}
  }
}
