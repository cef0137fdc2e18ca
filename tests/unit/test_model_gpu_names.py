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
    "GH200": ("NVIDIA GH200 480GB",),
    "A100 SXM 80GB": ("NVIDIA A100-SXM4-80GB", "A100 SXM4 80GB", "a100 SXM4 80Gi"),
    "A100 PCIe 80GB": ("NVIDIA A100 80GB PCIe",),
    "A100 PCIe 40GB": ("NVIDIA A100-PCIE-40GB",),
    "A100 SXM": ("A100 SXM4", "A100 SXM"),
    "V100 SXM 16GB": ("Tesla V100-SXM2-16GB",),
    "RTX 4090": ("NVIDIA GeForce RTX 4090", "RTX_4090", "rtx4090", "RTX 4090 24GB"),
    "RTX 4090 D": ("RTX 4090 D", "RTX 4090D"),
    "RTX 4080 SUPER": ("RTX 4080 SUPER", "RTX 4080S"),
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
