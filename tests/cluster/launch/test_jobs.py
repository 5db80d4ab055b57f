"""What is sent with a run: the working directory, if it is no larger than Ray's head should hold."""

import os
from pathlib import Path

import pytest

from cluster.launch import jobs
from cluster.launch.state import LaunchError
from cluster.local_ray import ROOT


def test_the_working_directory_is_sent_with_the_packages_and_without_what_is_no_file(tmp_path: Path, monkeypatch):
    own, sent = tmp_path / "own", tmp_path / "sent"
    (own / "runs").mkdir(parents=True)
    (own / "runs" / "large").write_bytes(bytes(1000))
    (own / "environment.py").write_text("mine = 1\n")
    os.mkfifo(own / "pipe")
    monkeypatch.chdir(own)
    jobs._gather(sent)
    assert (sent / "environment.py").read_text() == "mine = 1\n"
    assert (sent / "cluster" / "cli.py").read_bytes() == (ROOT / "cluster" / "cli.py").read_bytes()
    assert not (sent / "runs").exists()
    assert not (sent / "pipe").exists()


def test_a_large_one_is_refused_before_it_is_copied(tmp_path: Path, monkeypatch):
    own, sent = tmp_path / "own", tmp_path / "sent"
    own.mkdir()
    for number in range(3):
        (own / f"data{number}").write_bytes(bytes(2**20))
    monkeypatch.chdir(own)
    monkeypatch.setattr(jobs, "ROOT", own)
    monkeypatch.setattr(jobs, "LIMIT", 2**19)
    with pytest.raises(LaunchError, match=r"larger than .*data. \(1 MB\)"):
        jobs._gather(sent)
    assert list(sent.iterdir()) == []
