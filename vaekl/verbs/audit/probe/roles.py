"""What the arguments of somebody's loss are, by the names that people give them."""

import re

#: x̂ and x, μ and the second parameter of q(z|x), a draw of z, a predicted scale of p(x|z), the dispersion of counts,
#: the prior's two parameters, a mask, q(z|x) as an object, and the KL itself
ROLES = (
    "x_hat", "x", "mu", "spread", "z", "x_scale", "theta", "prior_mu", "prior_spread", "mask", "posterior", "kl",
)  # fmt: skip
#: of tensors with the shape of the data, and of those with the shape of the latents
OF_DATA, OF_LATENTS = ("x_hat", "x", "x_scale", "theta", "mask"), ("mu", "spread", "z", "prior_mu", "prior_spread")

_EXACT = {
    "x_hat": (
        "xhat recon recons reconx xrecon recx xrec rec reconstruction reconstructions reconstructed xreconstructed "
        "reconstructedx reconstructionx xreconstruction reconimg reconimage reconimages recimg xprime xtilde xbar "
        "pred preds prediction predictions predicted yhat ypred decoded decoderoutput decoderout generated out outx "
        "xout outputs output logits xlogits reconlogits logitsx reconxlogits xpred predx xmean meanx pxrate rate rates "
        "lograte pxmean pxlogits xmu muhat mux xmean recloc xloc locx imgrecon imagerecon samplereconstruction "
        "reconbatch reconsx outputimg fake"
    ),
    "x": (
        "x input inputs target targets data images image img imgs original originals orig originalx xtrue truex ytrue "
        "batch batchx xin inputx xinput real obs observation observations counts gt groundtruth label labels source "
        "src xorig origx xtarget sample samples pixels inputimg datax xbatch"
    ),
    "mu": (
        "mu mean zmean zmu mus muz qmu qzm means latentmean latentmu loc zloc m encodermean muq meanz encmu qmean "
        "posteriormean muenc mean0 avg zm qm latentsmean codemean"
    ),
    "spread": (
        "spread logvar logvars zlogvar "
        "lv logsigma2 logsigmasq logsigmasquared logvariance sigma std zstd logstd logsigma "
        "zlogsigma zsigma var variance qzv zvar zscale scale stddev sd logsd logvarz latentlogvar qlogvar sigmaz "
        "logvarq stdz sigmas stds logvarenc enclogvar lnvar lnsigma sigma2 sigmasq posteriorlogvar logs qv zlogstd "
        "logscale zv qlogstd rho latentstd latentvar codelogvar"
    ),
    "z": ("z zsample zsamples latent latents latentsample latentsamples code codes zq sampledz encoded embedding"),
    "x_scale": (
        "xlogvar logvarx reconlogvar xvar varx xstd stdx xsigma sigmax logsigmax xlogsigma xlogstd logstdx xscale "
        "scalex obsvar obslogvar declogvar declogstd declogsigma pxlogvar pxvar loggamma reconvar reconstd reconsigma "
        "reconlogsigma outputlogvar outvar outlogvar predvar predlogvar decodervar decoderlogvar sigmadec logscalex "
        "logsigmadec predscale reconlogscale gammax"
    ),
    "theta": "theta pxr dispersion inversedispersion totalcount thetas",
    "prior_mu": "priormu priormean pmu mup pzm muprior priorloc meanp meanprior",
    "prior_spread": (
        "priorlogvar plogvar logvarp pzlogvar logvarprior priorlogstd priorstd pstd stdp priorsigma priorscale priorvar"
    ),
    "mask": "mask masks observedmask obsmask missingmask weights pixelweights",
    "posterior": "posterior posteriors q qz qzx qzgivenx latentdist qdist encdist encodingdist posteriordist",
    "kl": "kl kld klloss kldiv klterm kldloss kldivergence",
}
_ROLE_OF = {name: role for role, names in _EXACT.items() for name in names.split()}
_OF_CLASSES = {
    "classes": r"^(y|y_?true|labels?|class(es)?|cls|class_?(ids?|labels?|targets?)|targets?_?y|label_?ids?)$",
    "class_scores": r"^((class|cls|y|label)_?(logits|scores|preds?|hat|probs?)|logits_?(y|class|cls))$",
}
#: what the second parameter of q(z|x) is, by its name, from the first pattern that fits
_PARAMETRISATIONS = (
    ("logvar", r"^(log|ln)?lv$|(log|ln)_?(var|sigma_?(2|sq)|s2)"),
    ("logstd", r"(log|ln)_?(std|sd|scale)|(log|ln)_?s$"),
    ("std", r"^(?!.*(log|ln)).*(std|sd|scale)"),
    ("var", r"^(?!.*(log|ln)).*(var|sigma_?(2|sq)|qzv|qz_v)"),
)


def role_of(name: str) -> str | None:
    """The role that an argument's name says, if it says any.

    >>> role_of("recon_x"), role_of("z_log_var"), role_of("logvar_x"), role_of("kld_weight")
    ('x_hat', 'spread', 'x_scale', None)
    """
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return _ROLE_OF.get(plain, _ROLE_OF.get(plain.rstrip("0123456789")))


def class_role_of(name: str) -> str | None:
    """The same of a classifier's arguments beside those of a VAE: labels of examples, or the scores of its classes.

    >>> class_role_of("y"), class_role_of("class_logits"), class_role_of("kld_weight")
    ('classes', 'class_scores', None)
    """
    for role, pattern in _OF_CLASSES.items():
        if re.search(pattern, name.lower()):
            return role
    return None


def parametrisation(name: str) -> str | None:
    """What the second parameter of q(z|x) is by its name: logvar, logstd, std or var; None where that is open.

    >>> parametrisation("z_log_var"), parametrisation("log_std"), parametrisation("qz_v"), parametrisation("log_sigma")
    ('logvar', 'logstd', 'var', None)
    """
    for kind, pattern in _PARAMETRISATIONS:
        if re.search(pattern, name.lower()):
            return kind
    return None
