# vaekl's public names: `lazy_loader` imports each from the module named here when it is first used, and type checkers
# read the same list. A new name needs one line here and, to be an option, a file in conf/.

from .data.sources.binarized import binarized_mnist as binarized_mnist
from .data.sources.build import Part as Part
from .data.sources.build import build_source as build_source
from .data.sources.embedded import digits as digits
from .data.sources.embedded import patches as patches
from .data.sources.folders import image_folder as image_folder
from .data.sources.npz import npz as npz
from .data.sources.vision import celeba as celeba
from .data.sources.vision import cifar10 as cifar10
from .data.sources.vision import cifar100 as cifar100
from .data.sources.vision import emnist as emnist
from .data.sources.vision import fashion_mnist as fashion_mnist
from .data.sources.vision import kmnist as kmnist
from .data.sources.vision import mnist as mnist
from .data.sources.vision import omniglot as omniglot
from .data.sources.vision import svhn as svhn
from .data.spec import DataSpec as DataSpec
from .data.spec import Source as Source
from .data.transforms import AutoTransform as AutoTransform
from .data.transforms import Binarize as Binarize
from .data.transforms import Dequantize as Dequantize
from .data.transforms import Levels as Levels
from .data.transforms import Scale as Scale
from .data.transforms import Transform as Transform
from .data.transforms import Warp as Warp
from .model.ledger import ElboTerms as ElboTerms
from .model.likelihoods import Bernoulli as Bernoulli
from .model.likelihoods import Beta as Beta
from .model.likelihoods import Categorical as Categorical
from .model.likelihoods import ContinuousBernoulli as ContinuousBernoulli
from .model.likelihoods import Gaussian as Gaussian
from .model.likelihoods import Laplace as Laplace
from .model.likelihoods import Likelihood as Likelihood
from .model.nets import Nets as Nets
from .model.nets import conv as conv
from .model.nets import linear as linear
from .model.nets import mlp as mlp
from .model.vae import VAE as VAE
from .model.weighting import CBNormalizer as CBNormalizer
from .model.weighting import FixedBeta as FixedBeta
from .model.weighting import FixedDispersion as FixedDispersion
from .model.weighting import LearnedPrecision as LearnedPrecision
from .model.weighting import OptimalPrecision as OptimalPrecision
from .model.weighting import Weighting as Weighting
from .model.weighting import auto_weighting as auto_weighting
from .run.load import TrainedRun as TrainedRun
from .run.load import load as load
from .system.errors import VaeklError as VaeklError
from .training.callback import Callback as Callback
from .training.schedules import ConstantSchedule as ConstantSchedule
from .training.schedules import CyclicalSchedule as CyclicalSchedule
from .training.schedules import LearningRateSchedule as LearningRateSchedule
from .training.schedules import LinearSchedule as LinearSchedule

__version__: str
