"""The card of an exported model: what it is and how it is called, in Markdown."""

from vaekl.run.trained import TrainedVAE
from vaekl.store import RunFolder
from vaekl.system.terminal import printable
from vaekl.verbs.export.scales import scale_of_mean, scale_of_x

#: how a program takes what is in the folder
_CALLS = {
    "safetensors": ["import vaekl", 'model = vaekl.load("FOLDER")', "z = model.encode(x).mean"],
    "onnx": [
        "import onnxruntime",
        'encoder = onnxruntime.InferenceSession("FOLDER/encoder.onnx")',
        'decoder = onnxruntime.InferenceSession("FOLDER/decoder.onnx")',
        'mean, log_std = encoder.run(None, {"x": x})                # of q(z|x), [N, Z] each; x float32 [N, ...]',
        'eta, mean, variance = decoder.run(None, {"z": z})          # of p(x|z); z float32 [N, Z]',
        "about = decoder.get_modelmeta().custom_metadata_map        # likelihood, dispersion, shape, protocol",
    ],
    "torch-export": [
        "import torch",
        'encoder = torch.export.load("FOLDER/encoder.pt2").module()',
        'about = {"vaekl.json": ""}                                 # likelihood, dispersion, shape, protocol',
        'decoder = torch.export.load("FOLDER/decoder.pt2", extra_files=about).module()',
        'z = encoder(x)["mean"]                                     # and "log_std", [N, Z] each; x float32 [N, ...]',
        'image = decoder(z)["mean"]                                 # and "eta" and "variance", of p(x|z)',
    ],
}


def card(run: TrainedVAE, folder: RunFolder, to: str) -> str:
    """What the model is, in Markdown; words of the run's files stand as code, and begin nothing of Markdown's.

    Args:
        run: the model.
        folder: of the run.
        to: what is written beside the card, a key of `FORMATS`.
    """
    facts, results = folder.facts(), run.results
    versions = [_code(facts.packages.get(name, "")) for name in ("vaekl", "torch")]
    data, shape = facts.data, "×".join(map(str, facts.data.shape))
    lines = [
        "# A variational autoencoder of vaekl",
        "",
        f"- data: {_code(data.name)}, {data.example}s of {shape}; {_code(data.protocol)}",
        f"- likelihood: {_code(facts.likelihood.name)}, E = {_code(facts.likelihood.energy)}, "
        f"ln C = {_code(facts.likelihood.log_norm_const)}",
        f"- loss: {_code(facts.weighting.loss)}, weighting {_code(facts.weighting.name)}",
        f"- {run.latents} latents, {facts.parameters:,} parameters, {_code(run.weights)} at step {run.step:,}",
        f"- trained by vaekl {versions[0]}, PyTorch {versions[1]}",
    ]
    if to != "safetensors":
        lines += [f"- x: {_code(scale_of_x(run))}", f"- mean: {_code(scale_of_mean(run))}; the variance in its square"]
    if results is not None:
        test, images = results.test, results.images.test
        bits = "" if test.bits_per_dim is None else f", {test.bits_per_dim:.4f} bits/dim from the ELBO"
        lines += [
            "",
            f"On {images:,} test {data.example}s: ELBO {test.elbo_nats:,.3f} nats (KL {test.kl_nats:,.3f} nats){bits}.",
        ]
    lines += ["", "```python", *_CALLS[to], "```", ""]
    return "\n".join(lines)


def _code(words: str) -> str:
    return f"`{printable(words).replace('`', chr(39))}`"
