import re
from collections import Counter
from typing import Any

import msgspec
import pytest

from libs.schemas import subjects
from libs.schemas.subjects import BUCKETS, DEAD_RECORDS, JS_STREAMS, RECORDS, SUBJECTS, Subject

SERVICES = {"edge", "converter", "state", "analytics"}
OUTSIDE = {"cli", "operator"}
NAMES = [subject.name for subject in SUBJECTS]


@pytest.mark.parametrize("subject", SUBJECTS, ids=NAMES)
def test_a_subject_has_producers_a_consumer_and_a_meaning(subject: Subject[Any, Any]) -> None:
    assert subject.producers and set(subject.producers) <= SERVICES | OUTSIDE
    assert subject.consumer in SERVICES and subject.consumer not in subject.producers
    assert subject.meaning.endswith((".", "?"))


@pytest.mark.parametrize("subject", SUBJECTS, ids=NAMES)
def test_a_subject_decodes_what_it_encodes(subject: Subject[Any, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        subject.request_decoder.decode(subject.encoder.encode(7))
    with pytest.raises(msgspec.ValidationError):
        subject.reply_decoder.decode(subject.encoder.encode(7))


def test_every_subject_is_registered() -> None:
    assert {id(found) for found in vars(subjects).values() if isinstance(found, Subject)} == set(map(id, SUBJECTS))


def test_every_stream_and_bucket_is_registered() -> None:
    found = [value for value in vars(subjects).values() if isinstance(value, subjects.JsStream | subjects.Bucket)]
    assert {one.name for one in found} == {one.name for one in (*JS_STREAMS, *BUCKETS)}


def test_no_name_is_used_twice() -> None:
    streams = [name for stream in JS_STREAMS for name in stream.subjects]
    names = [*NAMES, *streams, *(one.name for one in (*JS_STREAMS, *BUCKETS))]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_names_are_what_nats_takes() -> None:
    for name in NAMES:
        assert re.fullmatch(r"parley(\.[a-z]+)+", name)
    for one in (*JS_STREAMS, *BUCKETS):
        assert re.fullmatch(r"[A-Za-z_]+", one.name)


def test_a_request_subject_is_never_kept_by_a_stream() -> None:
    for stream in JS_STREAMS:
        for kept in stream.subjects:
            prefix = kept.removesuffix(">")
            assert not any(name == kept or (kept.endswith(">") and name.startswith(prefix)) for name in NAMES)


def test_dead_records_do_not_reach_the_stream_of_the_others() -> None:
    prefix = RECORDS.subjects[0].removesuffix(">")
    assert not any(name.startswith(prefix) for name in DEAD_RECORDS.subjects)


def test_streams_and_buckets_have_owners() -> None:
    for stream in JS_STREAMS:
        assert set(stream.producers) <= SERVICES and stream.consumers and stream.meaning
    for bucket in BUCKETS:
        assert bucket.owner in SERVICES and bucket.meaning


def test_a_message_with_its_headers_stays_below_what_the_server_takes() -> None:
    assert subjects.MAX_MESSAGE_BYTES + subjects.HEADER_ROOM <= subjects.SERVER_MAX_PAYLOAD
