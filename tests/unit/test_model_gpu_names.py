"""The names of GPU models: one for each model, however it is spelled, and never one for two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.gpu_names import gpu_model

SPELLINGS = {
    "H100 SXM": (
        "NVIDIA H100 80GB HBM3",
        "h100_sxm5",
        "H100 SXM",
        "H100-SXM5-80GB",
        "h100 SXM5 80Gi",
        "NVIDIA HGX H100",
        "H100SXM",
        "8x H100 SXM5",
        "Nvidia  H100  (SXM)",
        "gpu_8x_h100_sxm5",
        "DGX H100",
        "nvidia/h100-sxm",
    ),
    "H100 PCIe": ("NVIDIA H100 PCIe", "H100 PCIE", "h100-pcie", "H100 PCI-E 80GB", "NVIDIA H100 80GB HBM2e"),
    "H100 NVL": ("NVIDIA H100 NVL", "H100NVL", "H100 NVL 94GB"),
    "H100": ("H100", "h100", "NVIDIA H100 Tensor Core GPU", "H100_80GB", "H100 80 GB"),
    "H200": ("H200", "H200 SXM", "NVIDIA H200", "H200 SXM5 141GB", "HGX H200"),
    "H200 NVL": ("NVIDIA H200 NVL",),
    "B200": ("B200", "NVIDIA B200", "b200-sxm6", "HGX B200 180GB"),
    "GB200": ("GB200", "NVIDIA GB200 NVL72"),
    "A100 SXM 80GB": ("NVIDIA A100-SXM4-80GB", "A100 SXM4 80GB", "a100 SXM4 80Gi"),
    "A100 PCIe 80GB": ("NVIDIA A100 80GB PCIe",),
    "A100 PCIe 40GB": ("NVIDIA A100-PCIE-40GB",),
    "A100 SXM": ("A100 SXM4", "A100 SXM"),
    "V100 SXM 16GB": ("Tesla V100-SXM2-16GB",),
    "RTX 4090": ("NVIDIA GeForce RTX 4090", "RTX_4090", "rtx4090", "RTX 4090 24GB"),
    "RTX 4090 D": ("RTX 4090 D", "RTX 4090D"),
    "RTX 4080 SUPER": ("RTX 4080 SUPER", "RTX 4080S"),
    "RTX 4070 TI SUPER": ("RTX 4070S Ti", "RTX 4070 Ti Super"),
    "RTX 3070 LAPTOP": ("NVIDIA GeForce RTX 3070 Laptop GPU",),
    "RTX 4000 Ada SFF": ("NVIDIA RTX 4000 SFF Ada Generation",),
    "A100X": ("NVIDIA A100X",),
    "A10G": ("NVIDIA A10G",),
    "A10": ("NVIDIA A10",),
    "V100 16GB": ("Tesla V100-FHHL-16GB",),
    "V100S PCIe": ("Tesla V100S-PCIE-32GB",),
    "GH200": ("GH200 SXM", "NVIDIA GH200 480GB"),
    "RTX 6000": ("Quadro RTX 6000",),
    "RTX A6000": ("NVIDIA RTX A6000", "A6000", "rtx_a6000", "RTXA6000"),
    "RTX 6000 Ada": ("NVIDIA RTX 6000 Ada Generation", "RTX 6000Ada", "RTX 6000 Ada", "RTX Ada 6000 RTX 6000 ADA"),
    "RTX PRO 6000 WS": ("RTX PRO 6000 WS", "NVIDIA RTX PRO 6000 Blackwell Workstation Edition"),
    "RTX PRO 6000 SE": ("RTX PRO 6000 S", "NVIDIA RTX PRO 6000 Blackwell Server Edition"),
    "RTX PRO 6000 MAX-Q": ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",),
    "RTX PRO 6000": ("RTX PRO 6000",),
    "MI300X": ("AMD Instinct MI300X OAM", "MI300X", "mi300x"),
    "L40S": ("NVIDIA L40S", "L40S"),
    "L40": ("L40",),
    "L4": ("NVIDIA L4",),
    "H100 SXM MIG": ("NVIDIA H100 80GB HBM3 MIG 1g.10gb",),
    "R200 ULTRA": ("nVidia  R200-Ultra", "R200_ULTRA", "r200 ultra", " NVIDIA R200 (Ultra) "),
}


@pytest.mark.parametrize(("model", "spelling"), [(model, name) for model, names in SPELLINGS.items() for name in names])
def test_all_spellings_of_a_model_are_one_name(model: str, spelling: str) -> None:
    assert gpu_model(spelling) == model


@pytest.mark.parametrize("model", SPELLINGS)
def test_a_name_stays_as_it_is(model: str) -> None:
    assert gpu_model(model) == model


@given(st.text(max_size=80))
def test_any_text_has_a_name_that_stays(text: str) -> None:
    assert gpu_model(gpu_model(text)) == gpu_model(text)


LISTED = """
A10|A100 PCIE|A100 SXM4|A100X|A10G|A16|A2|A30|A40|A800 PCIE|B200|B300|GB300|GH200 SXM|GTX 1050 Ti|GTX 1060|GTX 1660|
GTX 1660 S|GTX 1660 Ti|Gaudi 3|Gaudi2|H100 MIG 1g.10gb|H100 NVL|H100 PCIE|H100 SXM|H20|H200|H200 NVL|H800|InstinctMI50|
L4|L40|L40G|L40S|MI250|MI300A|MI300X|MI325X|MI355X|P104-100|P106-100|Q RTX 6000|Q RTX 8000|RTX 2060|RTX 2060S|RTX 2070S|
RTX 2080 Ti|RTX 3050|RTX 3060|RTX 3060 Ti|RTX 3060 laptop|RTX 3070|RTX 3080|RTX 3080 Ti|RTX 3090|RTX 3090 Ti|RTX 4000|
RTX 4000Ada|RTX 4060|RTX 4060 Ti|RTX 4070|RTX 4070 Ti|RTX 4070S|RTX 4070S Ti|RTX 4080|RTX 4080S|RTX 4090|RTX 4090D|
RTX 4500Ada|RTX 5000|RTX 5000Ada|RTX 5070|RTX 5070 Ti|RTX 5090|RTX 5880Ada|RTX 6000Ada|RTX A2000|RTX A4000|RTX A6000|
RTX PRO 4000|RTX PRO 6000|RTX PRO 6000 S|RTX PRO 6000 WS|RX 6800|RX 6800 XT|RX 7900 XTX|Radeon VII|T4G|TPU v5e|
Tesla K80|Tesla P100|Tesla P4|Tesla P40|Tesla T4|Tesla V100|Tesla V100-PCIE-16GB|Tesla V100-SXM2-16GB|
Tesla V100-SXM2-32GB|Titan RTX|Titan V|Titan Xp|V100S
"""


def test_models_that_marketplaces_list_apart_stay_apart() -> None:
    names = LISTED.replace("\n", "").split("|")
    assert len({gpu_model(name) for name in names}) == len(names)
