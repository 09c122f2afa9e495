"""Where the base model lies: a folder, or a model of the Hugging Face hub brought to this machine."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from sparring_shared.errors import InvalidInput

_WANTED = ["*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "*.py"]


def model_folder(model: str) -> Path:
    """The folder of `model`, a path or a hub id. Raises InvalidInput when it is neither."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if folder.is_absolute() or model.startswith((".", "~")):
        raise InvalidInput(f"there is no folder {model}; set SPARRING_GENERATOR_MODEL to a checkpoint folder or a hub id.")
    try:
        return Path(snapshot_download(model, allow_patterns=_WANTED)).resolve()
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise InvalidInput(
            f"{model} is neither a folder nor a model that the Hugging Face hub gives ({type(error).__name__}); "
            "correct SPARRING_GENERATOR_MODEL."
        ) from None
