"""What older cards call and today's libraries no longer have, with what to write instead."""

import re

NAMES = {
    "transformers": {
        "AdamW": "torch.optim.AdamW",
        "AutoModelForVision2Seq": "AutoModelForImageTextToText",
        "AutoModelWithLMHead": "AutoModelForCausalLM, AutoModelForMaskedLM or AutoModelForSeq2SeqLM",
        "CLIPFeatureExtractor": "CLIPImageProcessor",
        "Conversation": "a list of messages, given to the text-generation pipeline",
        "LineByLineTextDataset": "load_dataset of the library datasets",
        "TextDataset": "load_dataset of the library datasets",
        "ViTFeatureExtractor": "ViTImageProcessor",
    },
    "datasets": {
        "list_datasets": "huggingface_hub.list_datasets",
        "list_metrics": "the library evaluate",
        "load_metric": "evaluate.load",
    },
    "huggingface_hub": {
        "HfFolder": "huggingface_hub.get_token",
        "InferenceApi": "InferenceClient",
        "ModelFilter": "the arguments of list_models",
        "Repository": "HfApi.upload_folder",
        "cached_download": "hf_hub_download",
    },
}
"""Names that modules had; those that begin with TF or Flax are gone from transformers altogether."""

METHODS = {
    "as_target_tokenizer": "tokenizer(text_target=…)",
    "batch_encode_plus": "tokenizer(texts)",
    "encode_plus": "tokenizer(text)",
    "prepare_seq2seq_batch": "tokenizer(texts, text_target=targets)",
}
"""Methods that tokenizers had."""

KEYWORDS = {
    "from_pretrained": {
        "load_in_4bit": "quantization_config=BitsAndBytesConfig(load_in_4bit=True)",
        "load_in_8bit": "quantization_config=BitsAndBytesConfig(load_in_8bit=True)",
        "use_auth_token": "token",
    },
    "load_dataset": {
        "ignore_verifications": 'verification_mode="no_checks"',
        "task": "nothing: tasks of datasets are gone",
        "trust_remote_code": "nothing: loading scripts are gone, so publish Parquet",
        "use_auth_token": "token",
    },
    "pipeline": {"use_auth_token": "token"},
    "Trainer": {"tokenizer": "processing_class"},
    "TrainingArguments": {
        "evaluation_strategy": "eval_strategy",
        "no_cuda": "use_cpu",
        "overwrite_output_dir": "nothing",
        "per_gpu_train_batch_size": "per_device_train_batch_size",
        "push_to_hub_model_id": "hub_model_id",
    },
}
"""Arguments that functions took."""

PIPELINES = {
    "conversational": "text-generation, with a list of messages",
    "image-to-image": "the library diffusers",
    "question-answering": "AutoModelForQuestionAnswering, or text-generation with a chat model",
    "summarization": "AutoModelForSeq2SeqLM and generate, or text-generation with a chat model",
    "text2text-generation": "AutoModelForSeq2SeqLM and generate",
    "translation": "AutoModelForSeq2SeqLM and generate, or text-generation with a chat model",
    "visual-question-answering": "image-text-to-text",
}
"""Tasks of `pipeline` that transformers 5 does not know."""

TRANSLATION = re.compile(r"translation_\w+_to_\w+")
COMMAND = re.compile(r"\bhuggingface-cli\b")
"""What the command `hf` was called."""
