"""Who is calling: the value in ``scope["auth"]``."""

from dataclasses import FrozenInstanceError

import pytest

from asgi_auth.principal import Anonymous, Principal

NAME = "subject"
ADA = Principal(subject="ada", scheme="bearer", scopes=frozenset({"read:articles"}), claims={"secret": "claim"})


def test_a_principal_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(ADA, NAME, "eve")


def test_frameworks_find_the_names_they_read() -> None:
    assert (ADA.is_authenticated, ADA.display_name, ADA.identity) == (True, "ada", "ada")
    nobody = Anonymous()
    assert (nobody.is_authenticated, nobody.display_name, nobody.identity) == (False, "", "")
    assert (nobody.scopes, nobody.roles, nobody.challenges) == (frozenset(), frozenset(), ())


def test_anonymous_has_no_subject_at_all() -> None:
    assert not hasattr(Anonymous(), "subject")


def test_the_repr_has_no_claims_and_a_principal_can_be_a_key() -> None:
    assert "claim" not in repr(ADA)
    assert {ADA: 1}[ADA] == 1
    assert dict(Principal(subject="bob", scheme="session").claims) == {}
