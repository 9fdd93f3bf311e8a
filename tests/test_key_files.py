"""The file that private keys live in: whole, private, and agreed on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from asgi_auth.errors import ConfigurationError
from asgi_auth.keys import SigningKey, SigningKeys

START = "import sys; sys.stdin.readline(); from asgi_auth import SigningKeys; "
LOAD = START + "print(SigningKeys.load_or_generate(sys.argv[1], 'ES256').current.kid)"


def names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "signing-keys.json"


@pytest.mark.requirement("R-25", "holds")
def test_the_first_start_makes_a_key_and_later_ones_read_it(path: Path) -> None:
    first = SigningKeys.load_or_generate(path, "ES256")
    second = SigningKeys.load_or_generate(str(path), "EdDSA")

    assert second.current.kid == first.current.kid
    assert second.current.algorithm == "ES256"
    assert path.stat().st_mode & 0o777 == 0o600
    assert names(path.parent) == [path.name], "nothing temporary stays"
    assert [entry["status"] for entry in json.loads(path.read_text())["keys"]] == ["current"]


@pytest.mark.requirement("R-25", "refuses")
def test_of_workers_that_start_at_once_one_writes_and_the_others_read_the_same(path: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", LOAD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    kids = {worker.communicate(timeout=60)[0] for worker in workers}

    assert kids == {SigningKeys.load_or_generate(path).current.kid + "\n"}
    assert names(path.parent) == [path.name]


@pytest.mark.requirement("R-25", "refuses")
def test_a_worker_that_comes_second_gives_up_its_own_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    winner = SigningKeys.generate("ES256")
    link = os.link

    def link_too_late(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        winner.save(path)
        link(source, target)

    monkeypatch.setattr(os, "link", link_too_late)

    assert SigningKeys.load_or_generate(path, "ES256").current.kid == winner.current.kid
    assert names(path.parent) == [path.name]


@pytest.mark.requirement("R-24", "holds")
def test_every_status_is_kept_in_the_file(path: Path) -> None:
    keys = SigningKeys.load_or_generate(path, "ES256").with_next(SigningKey.generate("EdDSA"))
    keys = keys.promoted().with_next(SigningKey.generate("ES256"))
    keys.save(path)

    again = SigningKeys.load_or_generate(path)

    assert again.next is not None
    assert keys.next is not None
    assert (again.next.kid, again.current.kid) == (keys.next.kid, keys.current.kid)
    assert [key.kid for key in again.retired] == [key.kid for key in keys.retired]
    assert again.jwks() == keys.jwks()
    assert path.stat().st_mode & 0o777 == 0o600
    assert names(path.parent) == [path.name]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused(path: Path, mode: int) -> None:
    SigningKeys.load_or_generate(path, "ES256")
    path.chmod(mode)

    with pytest.raises(ConfigurationError, match="chmod 600"):
        SigningKeys.load_or_generate(path)


DAMAGED = {
    "empty": "",
    "no JSON": "{",
    "a list": "[]",
    "without keys": "{}",
    "keys that are no list": '{"keys": {}}',
    "keys that are no objects": '{"keys": [1]}',
    "twice": '{"keys": [], "keys": []}',
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused_and_left_as_it_is(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text)

    with pytest.raises(ConfigurationError, match="JWK set"):
        SigningKeys.load_or_generate(path)
    assert path.read_text() == text


@pytest.mark.parametrize("statuses", [[], ["next"], ["current", "current"], ["current", "next", "next"]], ids=str)
def test_a_file_has_one_current_key_and_at_most_one_next(path: Path, statuses: list[str]) -> None:
    keys = [dict(SigningKey.generate("EdDSA").jwk) | {"status": status} for status in statuses]
    path.touch(0o600)
    path.write_text(json.dumps({"keys": keys}))

    with pytest.raises(ConfigurationError, match="exactly one current"):
        SigningKeys.load_or_generate(path)


@pytest.mark.parametrize("status", [None, "", "old", 1])
def test_a_key_of_the_file_has_a_status(path: Path, status: object) -> None:
    path.touch(0o600)
    path.write_text(json.dumps({"keys": [dict(SigningKey.generate("EdDSA").jwk) | {"status": status}]}))

    with pytest.raises(ConfigurationError, match="next, current or retired"):
        SigningKeys.load_or_generate(path)


def test_a_folder_that_is_not_there_is_named_as_the_cause(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="folder of the key file cannot be written"):
        SigningKeys.load_or_generate(tmp_path / "missing" / "keys.json")


def test_a_folder_in_the_place_of_the_file_cannot_be_read(path: Path) -> None:
    path.mkdir(0o700)

    with pytest.raises(ConfigurationError, match="cannot be read"):
        SigningKeys.load_or_generate(path)


def test_no_message_holds_key_material(path: Path) -> None:
    keys = SigningKeys.load_or_generate(path, "ES256")
    entry = json.loads(path.read_text())["keys"][0]
    path.write_text(json.dumps({"keys": [entry | {"x": "AA"}]}))

    with pytest.raises(ConfigurationError) as refused:
        SigningKeys.load_or_generate(path)

    assert keys.current.jwk["d"] not in f"{refused.value!r} {refused.value.__context__!r}"
