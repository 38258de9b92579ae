"""The values that fields of a card may have.

The lists were taken from the Hub's own documentation and code as they were in August 2026: licences from
https://huggingface.co/docs/hub/repositories-licenses, tasks and libraries from `packages/tasks/src` of
https://github.com/huggingface/huggingface.js, the Space's from https://huggingface.co/docs/hub/spaces-config-reference.
Languages, size categories and creators come with `datasets`, which is read without being imported.
"""

import difflib
import json
from collections.abc import Collection, Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LICENSES = _words("""
    apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0
    bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc
    cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0
    cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0
    cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1
    eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c
    ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl openmdw-1.0 openmdw-1.1 openrail++ osl-3.0 postgresql
    ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license fair-noncommercial-research-license llama2
    llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma unknown other
""")
"""Identifiers of `license`."""

TASKS = _words("""
    text-classification token-classification table-question-answering question-answering
    zero-shot-classification translation summarization feature-extraction text-generation fill-mask
    sentence-similarity text-to-speech text-to-audio automatic-speech-recognition audio-to-audio
    audio-classification audio-text-to-text voice-activity-detection depth-estimation image-classification
    object-detection image-segmentation text-to-image image-to-text image-to-image image-to-video
    unconditional-image-generation video-classification reinforcement-learning robotics tabular-classification
    tabular-regression tabular-to-text table-to-text multiple-choice text-ranking text-retrieval
    time-series-forecasting text-to-video image-text-to-text image-text-to-image image-text-to-video
    visual-question-answering document-question-answering zero-shot-image-classification graph-ml
    mask-generation zero-shot-object-detection text-to-3d image-to-3d image-feature-extraction
    video-text-to-text keypoint-detection visual-document-retrieval any-to-any video-to-video other
""")
"""Values of `pipeline_tag` and `task_categories`, and of a result's `task.type`."""

TASK_IDS = _words("""
    abstractive-qa acceptability-classification audio-emotion-recognition audio-intent-classification
    audio-language-identification closed-book-qa closed-domain-qa conversational coreference-resolution
    dialogue-generation dialogue-modeling document-question-answering document-retrieval
    entity-linking-classification entity-linking-retrieval explanation-generation extractive-qa face-detection
    fact-checking fact-checking-retrieval grasping hate-speech-detection image-captioning image-colorization
    image-inpainting instance-segmentation intent-classification keyword-spotting language-identification
    language-modeling lemmatization masked-language-modeling multi-class-classification
    multi-class-image-classification multi-input-text-classification multi-label-classification
    multi-label-image-classification multiple-choice-coreference-resolution multiple-choice-qa
    multivariate-time-series-forecasting named-entity-recognition natural-language-inference
    news-articles-headline-generation news-articles-summarization open-book-qa open-domain-abstractive-qa
    open-domain-qa panoptic-segmentation parsing part-of-speech pose-estimation rdf-to-text
    semantic-segmentation semantic-similarity-classification semantic-similarity-scoring sentiment-analysis
    sentiment-classification sentiment-scoring slot-filling speaker-identification super-resolution
    tabular-multi-class-classification tabular-multi-label-classification tabular-single-column-regression
    task-planning text-scoring text-simplification text2text-generation topic-classification
    univariate-time-series-forecasting utterance-retrieval vehicle-detection visual-question-answering
    word-sense-disambiguation
""")
"""Values of `task_ids`."""

LIBRARIES = _words("""
    acestep adapter-transformers allennlp anemoi araclip aviation-ner asteroid audiocraft audioseal bagel-mot
    bboxmaskpose ben2 bertopic big_vision bionemo birder birefnet bm25s boltzgen cancertathomev2
    cartesia_pytorch cartesia_mlx ccpfn champ chatterbox chaossim chat_tts chexmix chronos-forecasting clara
    clipscope cloud-agents collectorvision colipri cosyvoice cotracker colpali comet cosmos cxr-foundation
    deepforest depth-anything-v2 depth-pro derm-foundation describe-anything dia-tts dia2
    diff-interpretation-tuning diffree diffusers diffusionkit docking-at-home doctr edsnlp elm encoderfile
    espnet eupe fairseq fastai fastprint fasttext fixer flair flextab fme gemma.cpp geometry-crafter gliner
    gliner2 glm-tts glyph-byt5 granite-library grok habibi-tts hallo minimax-h3 hermes holomotion hezar htrflow
    hunyuan-dit hunyuan3d-2 hunyuanworld-voyager hy-worldplay hy-world-2 image-matching-models imstoucan
    index-tts infinitetalk infinite-you intellifold ising-decoding keras tf-keras keras-hub kerasformers kernels
    kimi-audio kittentts kronos k2 lyra-2.0 lagernvs ltx lightning-ir litert litert-lm lerobot lightglue
    liveportrait longcat-video-avatar-1.5 llama-cpp-python mini-omni2 mindspore magi-1 magenta-realtime
    magenta-realtime-2 mamba-ssm manas-1 mars5-tts matanyone mesh-anything merlin medvae mflux mitie ml-agents
    ml-sharp mlx mlx-image mlc-llm model2vec mobilint moshi mtvcraft multimolecule nemo ninfer nobg nv-medtech
    open-oasis open_clip openasr openpeerllm open-sora outetts paddlenlp PaddleOCR peft perception-encoder
    phantom-wan pocket-tts pruna-ai pxia pyannote-audio py-feat pythae quantumpeer qwen3_tts recurrentgemma
    relik refiners renderformer reverb rkllm robo-orchard-lab rwkv saelens scail-2 sam2 sam-3d-body
    sam-3d-objects same sample-factory sap-rpt-1-oss sapiens sapiens2 seedvr self-forcing sentence-transformers
    setfit sklearn spacy span-marker speechbrain ssr-speech stable-audio-3 stable-audio-tools monkeyocr
    diffusion-single-file seed-story skala soloaudio songbloom stable-baselines3 stanza supertonic swarmformer
    synthefy-migas f5-tts genmo tencent-song-generation tensorflowtts tensorrt tabpfn terratorch tic-clip
    timesfm timee-ts timm tirex tirex-2 torchgeo transformers transformers.js trellis trellis2 tunejury
    ultralytics univa uni-3dar unity-sentis sana videoprism vfi-mamba vismatch lvface voicecraft voxcpm vui
    vibevoice videox_fun wan2.2 wham whisperkit yolov10 yolov26 zonos 3dtopia-xl
""")
"""Libraries that the Hub has a page and a snippet for."""

HARDWARE = _words("""
    cpu-basic cpu-upgrade zero-a10g t4-small t4-medium l4x1 l4x4 l40sx1 l40sx4 l40sx8 a10g-small a10g-large
    a10g-largex2 a10g-largex4 a100-large a100x4 a100x8
""")
"""Values of a Space's `suggested_hardware`."""

BASE_MODEL_RELATIONS = _words("adapter merge quantized finetune")
SDKS = _words("gradio docker static")
COLORS = _words("red yellow green blue indigo purple pink gray")
HEADERS = _words("mini default")

_FORMERLY = {
    "conversational": "text-generation",
    "grey": "gray",
    "ner": "token-classification",
    "sentiment-analysis": "text-classification",
    "text2text-generation": "text-generation",
}
"""Values that were legal once, or that people take for legal, and what to write."""

LOADERS = _words("""
    arrow audiofolder cache csv generator hdf5 imagefolder json pandas parquet pdffolder spark sql text videofolder
    webdataset xml
""")
"""Loaders of `datasets`, whose names its users find where a repository's should be."""


@cache
def from_datasets(name: str) -> Any:
    """Return one of the lists that `datasets` carries, such as ``languages``; importing it would take a second."""
    spec = find_spec("datasets")
    assert spec is not None and spec.submodule_search_locations
    folder = Path(next(iter(spec.submodule_search_locations)))
    return json.loads((folder / "utils" / "resources" / f"{name}.json").read_text(encoding="utf-8"))


def is_language(tag: str) -> bool:
    """Tell whether a text is a language: ISO 639, perhaps with script and region (BCP 47), or a special value."""
    code, *rest = tag.split("-")
    known = code in from_datasets("languages") or code == "multilingual"
    return known and all(part.isalnum() and 2 <= len(part) <= 8 for part in rest)


def nearest(value: str, allowed: Iterable[str], what: str = "a legal value") -> str:
    """Return how to mend a value that is not among the legal ones."""
    allowed = sorted(allowed)
    plain = value.strip().lower().replace(" ", "-").replace("_", "-")
    if _FORMERLY.get(plain) in allowed:
        return f"write {_FORMERLY[plain]}"
    for text in (plain, plain.removesuffix("-license")):
        close = difflib.get_close_matches(text, allowed, n=1, cutoff=0.75)
        if close:
            return f"write {close[0]}"
    return f"write one of {', '.join(allowed)}" if len(allowed) <= 16 else f"write {what}"


def one_of(values: Collection[str]) -> str:
    """Return values for a sentence."""
    return ", ".join(sorted(values))
