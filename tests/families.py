"""Tiny random Hugging Face configurations of every family that acdc promises to open, and of those it refuses.

``python tests/families.py`` prints the README's table of them.
"""

import sys

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

_MHA = {**_LLAMA_LIKE, "num_key_value_heads": 4}
_SPECIAL = {"pad_token_id": 0, "eos_token_id": 1}
_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
_MIXED = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]}
_FALCON = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 50}
_OPT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "ffn_dim": 48,
    "max_position_embeddings": 32,
    "vocab_size": 50,
}
_LATENT = {
    **_MHA,
    "moe_intermediate_size": 16,
    "n_routed_experts": 4,
    "n_group": 2,
    "topk_group": 1,
    "num_experts_per_tok": 2,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 8,
    "v_head_dim": 6,
    "first_k_dense_replace": 1,
}
_GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 32, "vocab_size": 50}

#: Sliding windows and chunks are shorter than the prompts of the tests, so that a wrong mask shows; so are the
#: lengths at which rotations and temperatures change.
CONFIGS = {
    "gpt2": lambda: tf.GPT2Config(**_GPT),
    "gpt2-layer-scale": lambda: tf.GPT2Config(**_GPT, scale_attn_by_inverse_layer_idx=True),
    "gpt-bigcode": lambda: tf.GPTBigCodeConfig(**_GPT),
    "gpt-neo": lambda: tf.GPTNeoConfig(
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        attention_types=[[["global", "local"], 1]],
        window_size=4,
        max_position_embeddings=32,
        vocab_size=50,
    ),
    "gpt-j": lambda: tf.GPTJConfig(**_GPT, rotary_dim=4),
    "codegen": lambda: tf.CodeGenConfig(**_GPT, rotary_dim=4),
    "gpt-neox-parallel": lambda: tf.GPTNeoXConfig(**_NEOX),
    "gpt-neox-sequential": lambda: tf.GPTNeoXConfig(**_NEOX, use_parallel_residual=False),
    "opt": lambda: tf.OPTConfig(**_OPT, word_embed_proj_dim=32),
    "xglm": lambda: tf.XGLMConfig(
        d_model=32, num_layers=2, attention_heads=4, ffn_dim=48, max_position_embeddings=32, vocab_size=50
    ),
    "bloom": lambda: tf.BloomConfig(hidden_size=32, n_layer=2, n_head=4, vocab_size=50),
    "mpt": lambda: tf.MptConfig(d_model=32, n_layers=2, n_heads=4, vocab_size=50, max_seq_len=64),
    "llama": lambda: tf.LlamaConfig(**_LLAMA_LIKE),
    "llama-biases": lambda: tf.LlamaConfig(**_LLAMA_LIKE, attention_bias=True, mlp_bias=True),
    "llama-yarn": lambda: tf.LlamaConfig(
        **_LLAMA_LIKE,
        rope_parameters={
            "rope_type": "yarn",
            "factor": 4.0,
            "rope_theta": 10000.0,
            "original_max_position_embeddings": 8,
        },
    ),
    "llama-dynamic": lambda: tf.LlamaConfig(
        **{**_LLAMA_LIKE, "max_position_embeddings": 8},
        rope_parameters={"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0},
    ),
    "llama4": lambda: tf.Llama4TextConfig(
        **_LLAMA_LIKE,
        **{**_EXPERTS, "num_experts_per_tok": 1},
        head_dim=8,
        intermediate_size_mlp=48,
        no_rope_layers=[1, 0],
        attention_chunk_size=4,
        floor_scale=2,
        attn_scale=0.5,
        interleave_moe_layer_step=2,
        pad_token_id=0,
    ),
    "mistral": lambda: tf.MistralConfig(**_LLAMA_LIKE, sliding_window=4),
    "ministral3": lambda: tf.Ministral3Config(
        **_LLAMA_LIKE,
        head_dim=8,
        rope_parameters={
            "rope_type": "yarn",
            "factor": 4.0,
            "rope_theta": 10000.0,
            "original_max_position_embeddings": 4,
            "llama_4_scaling_beta": 0.5,
        },
    ),
    "mixtral": lambda: tf.MixtralConfig(**_LLAMA_LIKE, **_EXPERTS, sliding_window=None),
    "qwen2": lambda: tf.Qwen2Config(**_LLAMA_LIKE),
    "qwen2-moe": lambda: tf.Qwen2MoeConfig(
        **_LLAMA_LIKE,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=16,
    ),
    "qwen3": lambda: tf.Qwen3Config(**_LLAMA_LIKE, head_dim=8),
    "qwen3-moe": lambda: tf.Qwen3MoeConfig(
        **_LLAMA_LIKE, head_dim=8, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16
    ),
    "gemma": lambda: tf.GemmaConfig(**_LLAMA_LIKE, head_dim=8),
    "gemma2": lambda: tf.Gemma2Config(
        **_LLAMA_LIKE, head_dim=8, sliding_window=4, attn_logit_softcapping=2.0, final_logit_softcapping=3.0
    ),
    "gemma3": lambda: tf.Gemma3TextConfig(**_LLAMA_LIKE, head_dim=8, **_MIXED),
    "vaultgemma": lambda: tf.VaultGemmaConfig(**_LLAMA_LIKE, head_dim=8, **_MIXED),
    "phi": lambda: tf.PhiConfig(**_MHA),
    "phi3": lambda: tf.Phi3Config(**_LLAMA_LIKE, pad_token_id=0),
    "phi3-longrope": lambda: tf.Phi3Config(
        **_LLAMA_LIKE,
        pad_token_id=0,
        original_max_position_embeddings=8,
        rope_parameters={
            "rope_type": "longrope",
            "short_factor": [1.0] * 4,
            "long_factor": [4.0, 8.0, 2.0, 16.0],
            "original_max_position_embeddings": 8,
            "rope_theta": 10000.0,
        },
    ),
    "falcon": lambda: tf.FalconConfig(**_FALCON),
    "falcon-sequential": lambda: tf.FalconConfig(**_FALCON, multi_query=False, parallel_attn=False),
    "olmo": lambda: tf.OlmoConfig(**_LLAMA_LIKE),
    "olmo-clip": lambda: tf.OlmoConfig(**_LLAMA_LIKE, clip_qkv=0.3),
    "olmo2": lambda: tf.Olmo2Config(**_LLAMA_LIKE),
    "olmo3": lambda: tf.Olmo3Config(**_LLAMA_LIKE, **_MIXED),
    "olmoe": lambda: tf.OlmoeConfig(**_MHA, num_experts=4, num_experts_per_tok=2),
    "stablelm": lambda: tf.StableLmConfig(**_LLAMA_LIKE),
    "stablelm-parallel": lambda: tf.StableLmConfig(**_LLAMA_LIKE, use_parallel_residual=True),
    "stablelm-head-norms": lambda: tf.StableLmConfig(**_LLAMA_LIKE, qk_layernorm=True),
    "cohere": lambda: tf.CohereConfig(**_LLAMA_LIKE, logit_scale=0.5),
    "cohere-head-norms": lambda: tf.CohereConfig(**_LLAMA_LIKE, use_qk_norm=True, logit_scale=0.5),
    "cohere2": lambda: tf.Cohere2Config(**_LLAMA_LIKE, logit_scale=0.5, **_MIXED),
    "granite": lambda: tf.GraniteConfig(
        **_LLAMA_LIKE,
        residual_multiplier=0.7,
        embedding_multiplier=3.0,
        logits_scaling=2.0,
        attention_multiplier=0.4,
    ),
    "granite-moe": lambda: tf.GraniteMoeConfig(**_LLAMA_LIKE, **_EXPERTS, residual_multiplier=0.7),
    "starcoder2": lambda: tf.Starcoder2Config(**_LLAMA_LIKE, sliding_window=4),
    "glm": lambda: tf.GlmConfig(**_LLAMA_LIKE, **_SPECIAL, head_dim=8),
    "glm4": lambda: tf.Glm4Config(**_LLAMA_LIKE, **_SPECIAL, head_dim=8),
    "glm4-moe": lambda: tf.Glm4MoeConfig(
        **_LLAMA_LIKE,
        head_dim=8,
        moe_intermediate_size=16,
        n_routed_experts=4,
        num_experts_per_tok=2,
        first_k_dense_replace=1,
        use_qk_norm=True,
    ),
    "gpt-oss": lambda: tf.GptOssConfig(**_LLAMA_LIKE, **_SPECIAL, **_EXPERTS, **_MIXED, head_dim=8),
    "ernie4.5": lambda: tf.Ernie4_5Config(**_LLAMA_LIKE, head_dim=8),
    "ernie4.5-moe": lambda: tf.Ernie4_5_MoeConfig(
        **_LLAMA_LIKE, moe_intermediate_size=16, moe_num_experts=4, moe_k=2, moe_layer_start_index=1
    ),
    "hunyuan": lambda: tf.HunYuanDenseV1Config(**_LLAMA_LIKE, **_SPECIAL, head_dim=8),
    "deepseek-v2": lambda: tf.DeepseekV2Config(**_LATENT, q_lora_rank=None),
    "deepseek-v3": lambda: tf.DeepseekV3Config(**_LATENT, q_lora_rank=24),
    "smollm3": lambda: tf.SmolLM3Config(**_LLAMA_LIKE, no_rope_layers=[1, 0], pad_token_id=0),
    "exaone4": lambda: tf.Exaone4Config(**_LLAMA_LIKE, head_dim=8, **_MIXED),
    "nemotron": lambda: tf.NemotronConfig(**_LLAMA_LIKE, head_dim=8),
    "apertus": lambda: tf.ApertusConfig(**_LLAMA_LIKE, pad_token_id=0),
    "arcee": lambda: tf.ArceeConfig(**_LLAMA_LIKE),
    "seed-oss": lambda: tf.SeedOssConfig(**_LLAMA_LIKE, head_dim=8),
    "jais2": lambda: tf.Jais2Config(**_MHA),
    "nanochat": lambda: tf.NanoChatConfig(**_MHA),
    "minimax-m2": lambda: tf.MiniMaxM2Config(**_LLAMA_LIKE, **_EXPERTS, head_dim=8),
}
PARALLEL = {
    "gpt-j",
    "codegen",
    "gpt-neox-parallel",
    "phi",
    "falcon",
    "stablelm-parallel",
    "cohere",
    "cohere-head-norms",
    "cohere2",
}
#: The model's own code doesn't run in float64.
FLOAT32_ONLY = {"xglm"}

#: What is refused, and the words that say why.
REFUSED = {
    "opt-350m": (
        lambda: tf.OPTConfig(**_OPT, word_embed_proj_dim=16, do_layer_norm_before=False),
        "post-norm residual",
    ),
    "gpt-1": (lambda: tf.OpenAIGPTConfig(**_GPT), "post-norm residual"),
    "bloom-post-norm": (
        lambda: tf.BloomConfig(
            hidden_size=32, n_layer=2, n_head=4, vocab_size=50, apply_residual_connection_post_layernorm=True
        ),
        "post-norm residual",
    ),
    "falcon-alibi": (lambda: tf.FalconConfig(**_FALCON, alibi=True), "ALiBi twice"),
    "falcon-grouped": (
        lambda: tf.FalconConfig(**_FALCON, new_decoder_architecture=True, num_kv_heads=2),
        "TransformerLens can't open",
    ),
    "bitnet": (lambda: tf.BitNetConfig(**_LLAMA_LIKE), "norm between its heads and their output projection"),
    "afmoe": (
        lambda: tf.AfmoeConfig(
            **_LLAMA_LIKE,
            head_dim=8,
            num_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=16,
            sliding_window=4,
        ),
        "gated attention",
    ),
    "qwen3-next": (
        lambda: tf.Qwen3NextConfig(
            **_LLAMA_LIKE,
            num_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=16,
            shared_expert_intermediate_size=16,
        ),
        "without attention",
    ),
    "mamba": (lambda: tf.MambaConfig(hidden_size=32, num_hidden_layers=2, vocab_size=50), "without attention"),
    "gemma4": (
        lambda: tf.Gemma4TextConfig(**_LLAMA_LIKE, head_dim=8, vocab_size_per_layer_input=50),
        "attention geometry differs",
    ),
}

#: Rows of the README's table: families as people know them, what is special about them, and their configurations here.
OPENED = [
    ("GPT-2, GPT-BigCode", "learned positions; scores scaled by layer", ["gpt2", "gpt2-layer-scale", "gpt-bigcode"]),
    ("GPT-Neo", "unscaled scores, local layers", ["gpt-neo"]),
    ("GPT-J, CodeGen", "parallel blocks, neighbouring rotary pairs", ["gpt-j", "codegen"]),
    ("GPT-NeoX, Pythia", "parallel or sequential blocks", ["gpt-neox-parallel", "gpt-neox-sequential"]),
    ("OPT, XGLM", "positions with an offset", ["opt", "xglm"]),
    ("Bloom, MPT", "ALiBi; Bloom's norm of embeddings", ["bloom", "mpt"]),
    (
        "Llama 1 to 3, Arcee, Jais 2",
        "grouped keys; YaRN and dynamic rotations, by each prompt's own length",
        ["llama", "llama-biases", "llama-yarn", "llama-dynamic", "arcee", "jais2"],
    ),
    (
        "Llama 4",
        "experts, chunked attention, layers without positions, norms behind the rotation, temperature",
        ["llama4"],
    ),
    ("Mistral, Ministral 3, Mixtral", "sliding windows, temperature, experts", ["mistral", "ministral3", "mixtral"]),
    ("Qwen 2, 2-MoE, 3, 3-MoE", "norms of queries and keys, experts", ["qwen2", "qwen2-moe", "qwen3", "qwen3-moe"]),
    (
        "Gemma 1 to 3, VaultGemma",
        "norms behind attention and MLP, soft caps, windows in some layers",
        ["gemma", "gemma2", "gemma3", "vaultgemma"],
    ),
    ("Phi 1 to 4", "parallel blocks; LongRoPE, by each prompt's own length", ["phi", "phi3", "phi3-longrope"]),
    (
        "Falcon 7B",
        "one key head for all; parallel or sequential",
        ["falcon", "falcon-sequential"],
    ),
    (
        "OLMo 1 to 3, OLMoE",
        "norms without weights, clipped queries, norms over all heads, experts",
        ["olmo", "olmo-clip", "olmo2", "olmo3", "olmoe"],
    ),
    (
        "StableLM",
        "a norm for each head; parallel or sequential",
        ["stablelm", "stablelm-parallel", "stablelm-head-norms"],
    ),
    (
        "Cohere 1 and 2",
        "parallel blocks, a norm for each head, layers without positions",
        ["cohere", "cohere-head-norms", "cohere2"],
    ),
    ("Granite, Granite-MoE", "multipliers", ["granite", "granite-moe"]),
    ("StarCoder 2", "biases, sliding windows", ["starcoder2"]),
    (
        "GLM, GLM-4, GLM-4.5",
        "partial rotary in neighbouring pairs, norms behind the blocks, experts",
        ["glm", "glm4", "glm4-moe"],
    ),
    ("gpt-oss", "attention sinks, sliding windows, experts", ["gpt-oss"]),
    ("Ernie 4.5", "neighbouring rotary pairs, experts", ["ernie4.5", "ernie4.5-moe"]),
    ("HunYuan (dense)", "norms behind the rotation", ["hunyuan"]),
    ("DeepSeek-V2 and V3", "multi-head latent attention, experts", ["deepseek-v2", "deepseek-v3"]),
    ("SmolLM 3, EXAONE 4", "layers without positions", ["smollm3", "exaone4"]),
    (
        "Nemotron, Apertus, Seed-OSS, nanochat, MiniMax-M2",
        "other MLPs; norms behind the rotation; rotation backwards",
        ["nemotron", "apertus", "seed-oss", "nanochat", "minimax-m2"],
    ),
]
NOT_OPENED = [
    (
        "OPT-350m, GPT-1, Bloom with a normed skip",
        "post-norm residual stream",
        ["opt-350m", "gpt-1", "bloom-post-norm"],
    ),
    ("Falcon-RW", "ALiBi, which transformers' own attention adds twice", ["falcon-alibi"]),
    ("Falcon 40B and its like", "grouped keys in a layout that TransformerLens can't split", ["falcon-grouped"]),
    ("BitNet", "norm between the heads and their output projection", ["bitnet"]),
    ("AFMoE, Laguna", "gated attention", ["afmoe"]),
    ("Qwen3-Next, Mamba, RecurrentGemma and the like", "layers without attention", ["qwen3-next", "mamba"]),
    ("Gemma 4", "layers of different shapes", ["gemma4"]),
]


def table() -> str:
    """The README's table, in Markdown."""
    lines = ["| opened | what is special |", "|---|---|"]
    lines += [f"| {name} | {special} |" for name, special, _ in OPENED]
    lines += ["", "| refused, in a sentence | because of |", "|---|---|"]
    lines += [f"| {name} | {special} |" for name, special, _ in NOT_OPENED]
    return "\n".join(lines)


def random_model(family: str, dtype: torch.dtype = torch.float32, seed: int = 0) -> tf.PreTrainedModel:
    """A model of the family with random weights."""
    torch.manual_seed(seed)
    config = CONFIGS[family]() if family in CONFIGS else REFUSED[family][0]()
    model = tf.AutoModelForCausalLM.from_config(config, attn_implementation="eager").to(dtype)
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")  # the others don't run in float64
    return random_weights(model, seed)


def random_weights(model: tf.PreTrainedModel, seed: int = 0) -> tf.PreTrainedModel:
    """Make every parameter random, norms and biases too, so that errors show."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.15 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return model.eval()


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
