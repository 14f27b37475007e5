from corral.catalog.catalog import Shape
from corral.catalog.load import load_catalog


def test_an_instance_type_has_one_kind_of_gpu():
    names = [name for gpu in load_catalog().gpus.values() for name in gpu.instances]
    assert sorted(names) == sorted(set(names))


def test_an_hour_costs_whole_micro_dollars():
    instances = load_catalog().gpus["L40S"].instances
    assert (instances["g6e.12xlarge"].count, instances["g6e.12xlarge"].hourly) == (4, 10_493_000)


def test_what_is_not_sold_on_demand_has_no_price():
    instances = [each for gpu in load_catalog().gpus.values() for each in gpu.instances.items()]
    assert [name for name, instance in instances if instance.hourly is None] == ["p5e.48xlarge"]


def test_every_model_that_vllm_serves_has_a_shape():
    catalog = load_catalog()
    assert [name for name in catalog.hosts["vllm"].models if catalog.models[name].shape is None] == []


def test_a_shape_divides_among_its_heads():
    shapes: list[Shape] = [family.shape for family in load_catalog().models.values() if family.shape]
    assert [shape for shape in shapes if shape.heads % shape.kv_heads] == []
