"""Tiny random Hugging Face configurations of every family that acdc promises to open."""

import torch
import transformers as tf

_LLAMA_LIKE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "vocab_size": 50,
}
_NEOX = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 32,
    "vocab_size": 50,
}

#: Sliding windows are shorter than the prompts of the tests, so that a wrong mask shows.
CONFIGS = {
    "gpt2": lambda: tf.GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=32, vocab_size=50),
    "gpt-neo": lambda: tf.GPTNeoConfig(
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        attention_types=[[["global", "local"], 1]],
        window_size=4,
        max_position_embeddings=32,
        vocab_size=50,
    ),
    "gpt-j": lambda: tf.GPTJConfig(n_embd=32, n_layer=2, n_head=4, rotary_dim=4, n_positions=32, vocab_size=50),
    "gpt-neox-parallel": lambda: tf.GPTNeoXConfig(**_NEOX),
    "gpt-neox-sequential": lambda: tf.GPTNeoXConfig(**_NEOX, use_parallel_residual=False),
    "opt": lambda: tf.OPTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        ffn_dim=48,
        max_position_embeddings=32,
        vocab_size=50,
        word_embed_proj_dim=32,
    ),
    "llama": lambda: tf.LlamaConfig(**_LLAMA_LIKE),
    "mistral": lambda: tf.MistralConfig(**_LLAMA_LIKE, sliding_window=4),
    "qwen2": lambda: tf.Qwen2Config(**_LLAMA_LIKE),
    "qwen3": lambda: tf.Qwen3Config(**_LLAMA_LIKE, head_dim=8),
    "gemma": lambda: tf.GemmaConfig(**_LLAMA_LIKE, head_dim=8),
    "gemma2": lambda: tf.Gemma2Config(
        **_LLAMA_LIKE, head_dim=8, sliding_window=4, attn_logit_softcapping=2.0, final_logit_softcapping=3.0
    ),
    "gemma3": lambda: tf.Gemma3TextConfig(
        **_LLAMA_LIKE, head_dim=8, sliding_window=4, layer_types=["sliding_attention", "full_attention"]
    ),
    "phi": lambda: tf.PhiConfig(**{**_LLAMA_LIKE, "num_key_value_heads": 4}),
    "phi3": lambda: tf.Phi3Config(**_LLAMA_LIKE, pad_token_id=0),
    "falcon": lambda: tf.FalconConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, vocab_size=50),
    "olmo2": lambda: tf.Olmo2Config(**_LLAMA_LIKE),
    "mixtral": lambda: tf.MixtralConfig(**_LLAMA_LIKE, num_local_experts=4, num_experts_per_tok=2, sliding_window=None),
}
PARALLEL = {"gpt-j", "gpt-neox-parallel", "phi", "falcon"}


def random_model(family: str, dtype: torch.dtype = torch.float32, seed: int = 0) -> tf.PreTrainedModel:
    """A model of the family with random weights."""
    torch.manual_seed(seed)
    model = tf.AutoModelForCausalLM.from_config(CONFIGS[family](), attn_implementation="eager").to(dtype)
    return random_weights(model, seed)


def random_weights(model: tf.PreTrainedModel, seed: int = 0) -> tf.PreTrainedModel:
    """Make every parameter random, norms and biases too, so that errors show."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.15 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return model.eval()
