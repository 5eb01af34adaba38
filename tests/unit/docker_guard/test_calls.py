from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.docker_guard.bodies import ID, INSTANCE

from hakoiri.docker_guard.calls import (
    ActOnContainer,
    AskRuntimes,
    Call,
    CollectImages,
    CreateContainer,
    FindBox,
    InspectImage,
    ListBoxes,
    ListContainers,
    MakeBox,
    RemoveBox,
    read_call,
    takes_body,
)
from hakoiri.docker_guard.refusal import CallRefusedError

NAME = f"hakoiri-{ID}"
FOREIGN_ID = "f" * 64
FILTERS = quote(f'{{"label":["hakoiri.instance={INSTANCE}"]}}')


@pytest.mark.parametrize(
    ("method", "target", "call"),
    [
        ("POST", f"/v1.41/containers/create?name={NAME}", CreateContainer(ID)),
        ("POST", f"/v1.41/containers/{NAME}/start", ActOnContainer(NAME, "start")),
        ("POST", f"/v1.41/containers/{NAME}/stop?t=3", ActOnContainer(NAME, "stop", 3)),
        ("POST", f"/v1.41/containers/{NAME}/pause", ActOnContainer(NAME, "pause")),
        ("POST", f"/v1.41/containers/{NAME}/unpause", ActOnContainer(NAME, "unpause")),
        ("GET", f"/v1.41/containers/{NAME}/json", ActOnContainer(NAME, "inspect")),
        ("GET", f"/v1.41/containers/{FOREIGN_ID}/json", ActOnContainer(FOREIGN_ID, "inspect")),
        ("DELETE", f"/v1.41/containers/{NAME}?force=1&v=True", ActOnContainer(NAME, "remove")),
        ("GET", f"/v1.41/containers/json?all=1&filters={FILTERS}", ListContainers(INSTANCE)),
        (
            "GET",
            "/v1.41/images/hakoiri/workspace:ab12/json",
            InspectImage("hakoiri/workspace:ab12"),
        ),
        ("GET", "/v1.41/info", AskRuntimes()),
        ("PUT", f"/boxes/{ID}", MakeBox(ID)),
        ("GET", f"/boxes/{ID}", FindBox(ID)),
        ("DELETE", f"/boxes/{ID}", RemoveBox(ID)),
        ("GET", "/boxes", ListBoxes()),
        ("DELETE", "/images/old", CollectImages()),
    ],
)
def test_the_calls_there_are(method: str, target: str, call: Call) -> None:
    assert read_call(method, target) == call
    assert takes_body(call) is isinstance(call, CreateContainer)


@pytest.mark.parametrize(
    "target",
    [
        "//v1.41/info",
        "/v1.41//info",
        "/v1.41/info/",
        "/v1.41/./info",
        "/v1.41/containers/../info",
        "/v1.41%2finfo",
        "/v1.41/containers%2Fcreate",
        "/v1.41/inf%6f",
        "/info",
        "/v1.40/info",
        "/v1.43/info",
        "/v1.41.1/info",
        "/V1.41/info",
        "/v1.41/INFO",
        "http://engine/v1.41/info",
        "/v1.41/info?x=1",
        "/v1.41/info#x",
        "/v1.41/info;x",
        "/v1.41/info\x00",
        "/v1.41/info\n",
        "/v1.41/info ",
        "*",
        "",
        "/",
        "/_ping",
        "/v1.41/version",
        "/v1.41/events",
        "/v1.41/containers/json",
        "/v1.41/containers/json?all=1",
        "/v1.41/containers/json?all=1&filters={}",
        '/v1.41/containers/json?all=1&filters={"label":["a=b"]}',
        '/v1.41/containers/json?all=1&filters={"label":["hakoiri.instance=a"],"name":["x"]}',
        f"/v1.41/containers/json?all=1&all=1&filters={FILTERS}",
        "/v1.41/containers/abc/json",
        "/v1.41/containers/postgres/json",
        f"/v1.41/containers/{NAME}/logs",
        f"/v1.41/containers/{NAME}/archive?path=/etc",
        f"/v1.41/containers/{NAME}/export",
        f"/v1.41/containers/{NAME}/top",
        f"/v1.41/containers/{NAME}x/json",
        "/v1.41/exec/abc/json",
        "/v1.41/volumes",
        "/v1.41/images/json",
        f"/boxes/{ID}/x",
        "/boxes/../etc",
        "/boxesx",
        f"/boxes?x={ID}",
        "/v1.41/" + "a" * 2000,
    ],
)
def test_every_other_target_is_refused(target: str) -> None:
    with pytest.raises(CallRefusedError) as refused:
        read_call("GET", target)
    assert refused.value.status in {400, 403}


@pytest.mark.parametrize("target", ["/info", "/v1.40/info", "/v1.43/info", "/V1.41/info"])
def test_another_version_is_told_which_one_is_served(target: str) -> None:
    with pytest.raises(CallRefusedError, match=r"v1\.41") as refused:
        read_call("GET", target)
    assert refused.value.code == "version-unknown"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", f"/v1.41/containers/{NAME}/exec"),
        ("POST", f"/v1.41/containers/{NAME}/attach"),
        ("POST", f"/v1.41/containers/{NAME}/update"),
        ("POST", f"/v1.41/containers/{NAME}/rename?name=x"),
        ("POST", f"/v1.41/containers/{NAME}/kill"),
        ("PUT", f"/v1.41/containers/{NAME}/archive?path=/"),
        ("POST", "/v1.41/exec/abc/start"),
        ("POST", "/v1.41/containers/create"),
        ("POST", "/v1.41/containers/create?name=other"),
        ("POST", f"/v1.41/containers/create?name=/{NAME}"),
        ("POST", f"/v1.41/containers/create?name={NAME}&platform=linux"),
        ("POST", f"/v1.41/containers/create?name={NAME}&name={NAME}"),
        ("POST", f"/v1.41/containers/{NAME}/start?detachKeys=x"),
        ("POST", f"/v1.41/containers/{NAME}/stop"),
        ("POST", f"/v1.41/containers/{NAME}/stop?t=-1"),
        ("POST", f"/v1.41/containers/{NAME}/stop?t=999"),
        ("POST", f"/v1.41/containers/{NAME}/stop?t=3&signal=KILL"),
        ("DELETE", f"/v1.41/containers/{NAME}?link=1"),
        ("DELETE", f"/v1.41/containers/{NAME}?force=2"),
        ("DELETE", "/images/old?force=1"),
        ("DELETE", "/images/hakoiri"),
        ("POST", "/images/old"),
        ("DELETE", "/v1.41/images/hakoiri/workspace:ab12"),
        ("POST", "/v1.41/images/hakoiri/workspace:ab12/tag?repo=x&tag=y"),
        ("POST", "/v1.41/build"),
        ("POST", "/v1.41/images/create?fromImage=x"),
        ("POST", "/v1.41/images/load"),
        ("POST", "/v1.41/commit?container=x"),
        ("POST", "/v1.41/volumes/create"),
        ("POST", "/v1.41/networks/create"),
        ("POST", "/v1.41/swarm/init"),
        ("POST", "/v1.41/plugins/pull"),
        ("POST", "/session"),
        ("POST", "/grpc"),
        ("GET", f"/v1.41/containers/{NAME}/start"),
        ("HEAD", "/v1.41/info"),
        ("get", "/v1.41/info"),
        ("CONNECT", "engine:80"),
        ("OPTIONS", "*"),
        ("POST", f"/boxes/{ID}"),
        ("PUT", "/boxes"),
        ("PUT", f"/boxes/{ID.upper()}"),
    ],
)
def test_every_other_call_is_refused(method: str, target: str) -> None:
    with pytest.raises(CallRefusedError) as refused:
        read_call(method, target)
    assert refused.value.status in {400, 403}


PIECES = [
    *"/?&=%.{}\"' \n\x00",
    "/v1.41",
    "containers",
    "create",
    "json",
    "boxes",
    "name",
    NAME,
    ID,
]


@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    st.lists(st.sampled_from(PIECES), max_size=10).map("".join),
)
def test_any_target_is_a_call_or_refused_and_a_call_has_clean_parts(
    method: str, target: str
) -> None:
    try:
        call = read_call(method, target)
    except CallRefusedError:
        return
    if isinstance(call, ActOnContainer):
        assert call.reference in {NAME, FOREIGN_ID} or len(call.reference) in {25, 64}
    if isinstance(call, MakeBox | RemoveBox | CreateContainer):
        assert "/" not in call.container_id
        assert len(call.container_id) == 17


@given(st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789"), st.integers(0, len(NAME) - 1))
def test_a_name_that_differs_in_one_place_is_ours_only_by_its_form(character: str, at: int) -> None:
    name = NAME[:at] + character + NAME[at + 1 :]
    try:
        call = read_call("POST", f"/v1.41/containers/create?name={name}")
    except CallRefusedError:
        return
    assert isinstance(call, CreateContainer)
    assert f"hakoiri-{call.container_id}" == name
