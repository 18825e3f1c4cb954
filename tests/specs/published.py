"""How many parameters each predefined model has, and who says so. Nothing here was computed with
Inferflow.

`hub` is what the Hub reads in the headers of the repository's safetensors files, as public reports
quote it; `counted` what several people report of the loaded model (`num_parameters`,
`print_trainable_parameters`, llama.cpp); the other sources are named. Where no exact total is
published, it is the sum over the shapes that the authors state, in the formulas below.

Where a file holds a tied weight twice, it counts once if the config ties. Falcon's files have both
and its config is silent: it counts twice, as the Hub does.
"""


def llama_like(
    vocab: int, hidden: int, inner: int, layers: int, kv_share: float = 1.0, norm: int = 1
) -> int:
    """Untied, three matrices in the ffn, no biases; `norm` vectors a norm."""
    attention = 2 * hidden * hidden + 2 * hidden * round(hidden * kv_share)
    layer = attention + 3 * hidden * inner + 2 * norm * hidden
    return 2 * vocab * hidden + layers * layer + norm * hidden


def opt_like(vocab: int, hidden: int, layers: int) -> int:
    """Tied, an ffn of 4 x hidden, biases everywhere, 2048 positions and 2 more."""
    layer = 12 * hidden * hidden + 13 * hidden
    return (vocab + 2050) * hidden + layers * layer + 2 * hidden


PUBLISHED: dict[str, tuple[int, str]] = {
    # the original engine's
    "aquilachat2-34b": (llama_like(100_008, 6144, 24_576, 60, 8 / 48), "shapes: config.json"),
    "baichuan2-7b-chat": (
        7_000_559_616 + 2 * (125_696 - 64_000) * 4096,
        "README of Baichuan-13B for Baichuan-7B, and the vocabulary that Baichuan2 has more",
    ),
    "baichuan2-13b-chat": (
        13_264_901_120 + 2 * (125_696 - 64_000) * 5120,
        "README of Baichuan-13B, and the vocabulary that Baichuan2 has more",
    ),
    "bert-base-multilingual-cased": (178_566_653, "hub"),
    "bloomz-3b": (3_002_557_440, "model card of bloom-3b"),
    "bloomz-3b-bin": (3_002_557_440, "model card of bloom-3b"),
    "chatglm2-6b": (6_243_584_000, "counted"),
    "deepseek-moe-16b-base": (16_375_728_128, "hub"),
    "m2m100-418m": (483_905_536, "counted"),
    "falcon-7b-instruct": (7_217_189_760, "hub"),
    "falcon-40b-instruct": (83_671_941_120 // 2, "total_size of its index of BF16 files"),
    "fusellm-7b": (6_738_415_616, "counted, of Llama 2 7B, which it continues"),
    "gemma-2b-it": (2_506_172_416, "counted"),
    "internlm-chat-20b": (llama_like(103_168, 5120, 13_824, 60), "shapes: config.json"),
    "llama-2-7b-hf": (6_738_415_616, "counted"),
    "llama-2-7b-chat-hf": (6_738_415_616, "counted"),
    "llama-2-7b-chat-gguf": (6_738_415_616, "counted"),
    "llama-2-13b-chat-hf": (13_015_864_320, "counted"),
    "minicpm-2b-dpo-bf16": (2_724_880_896, "counted"),
    "mistral-7b-instruct-v0-2": (7_241_732_096, "counted"),
    "mistral-7b-instruct-v0-2-bin": (7_241_732_096, "counted"),
    "mixtral-8x7b-instruct-v0-1": (46_702_792_704, "counted"),
    "open-llama-3b": (3_426_473_600, "counted"),
    "opt-350m": (331_196_416, "counted"),
    "opt-13b": (opt_like(50_272, 5120, 40), "shapes: Zhang et al. 2022, table 1"),
    "opt-iml-max-30b": (opt_like(50_272, 7168, 48), "shapes: Zhang et al. 2022, table 1"),
    "orion-14b-chat": (llama_like(84_608, 5120, 15_360, 40, norm=2), "shapes: config.json"),
    "phi-2": (2_779_683_840, "hub"),
    "qwen1-5-0-5b-chat": (463_987_712, "counted"),
    "qwen1-5-7b-chat": (7_721_324_544, "hub"),
    "stories15m": (15_191_712, "counted, and the size of its file"),
    "stories110m": (109_529_856, "counted, and the size of its file"),
    "xverse-13b-chat": (llama_like(100_278, 5120, 13_824, 40), "shapes: config.json"),
    "yi-6b-200k": (6_061_035_520, "hub"),
    "yi-34b-chat": (34_388_917_248, "hub"),
    # what people run most
    "all-minilm-l6-v2": (22_713_216, "hub; its file has 512 position ids beside them"),
    "deepseek-v2-lite": (15_706_484_224, "hub"),
    "flan-t5-base": (247_577_856, "hub"),
    "gemma-2-2b-it": (2_614_341_888, "counted"),
    "gemma-3-1b-it": (999_885_952, "counted"),
    "gpt-oss-20b-bf16": (20_914_757_184, "model card (20.9 B), and counted"),
    "llama-3-1-8b-instruct": (8_030_261_248, "counted"),
    "llama-3-2-1b-instruct": (1_235_814_400, "counted"),
    "llama-3-2-3b-instruct": (3_212_749_824, "counted"),
    "nllb-200-distilled-600m": (615_073_792, "counted"),
    "phi-3-mini-4k-instruct": (3_821_079_552, "counted"),
    "phi-4": (14_659_507_200, "hub"),
    "qwen2-5-0-5b-instruct": (494_032_768, "counted"),
    "qwen2-5-1-5b-instruct": (1_543_714_304, "hub"),
    "qwen2-5-7b-instruct": (7_615_616_512, "hub"),
    "qwen3-0-6b": (596_049_920, "counted"),
    "qwen3-4b": (4_022_468_096, "counted"),
    "qwen3-8b": (8_190_735_360, "counted"),
    "smollm2-135m-instruct": (134_515_008, "counted"),
}
"""Predefined name -> parameters, source."""
