"""A Hub on the loopback interface, for tests.

It keeps real state, as git does: blobs by their git hash, large files by SHA-256, trees, commits with parents, branches,
pull requests on `refs/pr/N`, discussions, users with tokens and rights. It speaks the Hub's HTTP protocol as the client
in the installed `huggingface_hub` package uses it (endpoints, headers and payloads were read there). Faults can be
ordered: slow answers, connections dropped before or after a request took effect, any status with any header.

Given up: pages of listings hold everything, there is no Xet storage (tests turn it off), and nothing survives the process.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import re
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

LICENCES = {"apache-2.0", "mit", "cc-by-4.0", "cc-by-nc-4.0", "other", "unknown"}
"""Enough for tests; the real list is longer."""
LARGE = 10_000_000
"""Bytes from which a file is stored as a large one whatever it holds."""


@dataclass(frozen=True)
class Entry:
    """A file of a tree."""

    oid: str
    """Git's SHA-1 of the blob; of the pointer for a large file."""
    size: int
    large: str | None = None
    """SHA-256 of a large file's content."""


@dataclass(frozen=True)
class Commit:
    oid: str
    parents: tuple[str, ...]
    tree: dict[str, Entry]
    title: str
    message: str
    author: str
    date: str


@dataclass
class Discussion:
    num: int
    title: str
    author: str
    created: str
    status: str = "open"
    is_pull_request: bool = True
    base: str = "refs/heads/main"
    merge_commit: str | None = None


@dataclass
class Repo:
    name: str
    private: bool = False
    gated: bool = False
    writers: set[str] = field(default_factory=set)
    """They may read it too where it is private or gated; others may not."""
    refs: dict[str, str] = field(default_factory=dict)
    discussions: dict[int, Discussion] = field(default_factory=dict)


@dataclass
class Fault:
    """What goes wrong with the next requests that match."""

    method: str
    path: str
    times: int = 1
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    error: str = "injected"
    body: bytes | None = None
    """What is answered in place of the Hub's own JSON."""
    drop: str | None = None
    """The connection: `before` the request takes effect, or `after` it did."""
    late: bool = False
    """Whether the status comes after the request took effect, as from a gateway that lost patience."""
    slow: float = 0.0
    """Seconds of silence after the request took effect."""


@dataclass(frozen=True)
class Logged:
    method: str
    path: str
    """Decoded, without the query."""
    query: dict[str, str]
    account: str | None
    body: bytes


class HubError(Exception):
    """An answer that isn't 200."""

    def __init__(self, status: int, error: str, code: str | None = None, **headers: str) -> None:
        super().__init__(error)
        self.status = status
        self.headers = {"X-Error-Message": error, **({"X-Error-Code": code} if code else {}), **headers}


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def as_json(data: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(data).encode(), {"Content-Type": "application/json; charset=utf-8"})


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub:
    """The state, and what can be done to it without HTTP: what people do on the website."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.large: dict[str, bytes] = {}
        self.commits: dict[str, Commit] = {}
        self.repos: dict[str, Repo] = {}
        self.tokens: dict[str, tuple[str, str]] = {}
        """Token -> account and role: `read` or `write`."""
        self.faults: list[Fault] = []
        self.log: list[Logged] = []
        self.endpoint = ""
        self.content_host = ""
        """Where large files are served: another host, to which the client must not send its token."""
        self.lock = threading.RLock()

    # --- what tests do directly ---

    def add_repo(self, name: str, files: dict[str, bytes] | None = None, **options: Any) -> Repo:
        owner = name.split("/")[0]
        repo = Repo(name, writers={owner}, **options)
        self.repos[name] = repo
        self._commit(repo, "refs/heads/main", {}, "initial commit", "", owner)
        if files:
            self.edit(name, files, author=owner)
        return repo

    def edit(self, name: str, files: dict[str, bytes], *, author: str, ref: str = "main", title: str = "Edit") -> str:
        """A commit made elsewhere, e.g. in the website's editor."""
        repo, ref = self.repos[name], self._full_ref(ref)
        edited = {path: self._store(path, content) for path, content in files.items()}
        return self._commit(repo, ref, self.commits[repo.refs[ref]].tree | edited, title, "", author)

    def read(self, name: str, path: str, ref: str = "main") -> bytes:
        entry = self.commits[self._resolve(self.repos[name], ref)].tree[path]
        return self.large[entry.large] if entry.large else self.blobs[entry.oid]

    def files(self, name: str, ref: str = "main") -> set[str]:
        return set(self.commits[self._resolve(self.repos[name], ref)].tree)

    def head(self, name: str, ref: str = "main") -> str:
        return self._resolve(self.repos[name], ref)

    def fail(self, method: str, path: str, **what: Any) -> Fault:
        fault = Fault(method, path, **what)
        self.faults.append(fault)
        return fault

    def sent(self, *methods: str) -> list[str]:
        """Paths of the requests by these methods; the client's own telemetry left out."""
        return [entry.path for entry in self.log if entry.method in methods and "agent-harnesses" not in entry.path]

    def merge(self, name: str, num: int, *, author: str) -> str:
        """Merge a pull request into its base, file by file, as git does. Raises HubError on a conflict."""
        repo = self.repos[name]
        pull = repo.discussions[num]
        if pull.status != "open":
            raise HubError(409, f"This pull request is {pull.status}.")
        ours, theirs = repo.refs[pull.base], repo.refs[f"refs/pr/{num}"]
        base = self.commits[self._merge_base(ours, theirs)].tree
        tree: dict[str, Entry] = {}
        mine, other = self.commits[ours].tree, self.commits[theirs].tree
        for path in sorted({*mine, *other}):
            merged = self._merge_entry(base.get(path), mine.get(path), other.get(path))
            if merged is not None:
                tree[path] = merged
        title = f"{pull.title} (#{num})"
        pull.merge_commit = self._commit(repo, pull.base, tree, title, "", author, parents=(ours, theirs))
        pull.status = "merged"
        return pull.merge_commit

    # --- git ---

    def _store(self, path: str, content: bytes) -> Entry:
        if is_large(path, content[:512], len(content)):
            digest = hashlib.sha256(content).hexdigest()
            self.large[digest] = content
            return self._pointer(digest, len(content))
        oid = git_hash(content)
        self.blobs[oid] = content
        return Entry(oid, len(content))

    def _pointer(self, digest: str, size: int) -> Entry:
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n".encode()
        self.blobs[git_hash(text)] = text
        return Entry(git_hash(text), size, digest)

    def _commit(
        self,
        repo: Repo,
        ref: str,
        tree: dict[str, Entry],
        title: str,
        message: str,
        author: str,
        parents: tuple[str, ...] | None = None,
    ) -> str:
        if parents is None:
            parents = (repo.refs[ref],) if ref in repo.refs else ()
        date = now()
        content = [[(p, e.oid) for p, e in sorted(tree.items())], parents, title, message, author, date, repo.name]
        oid = hashlib.sha1(json.dumps([content, len(self.commits)]).encode()).hexdigest()
        self.commits[oid] = Commit(oid, parents, tree, title, message, author, date)
        repo.refs[ref] = oid
        return oid

    def _full_ref(self, ref: str) -> str:
        return ref if ref.startswith("refs/") else f"refs/heads/{ref}"

    def _resolve(self, repo: Repo, revision: str) -> str:
        for name in (revision, f"refs/heads/{revision}"):
            if name in repo.refs:
                return repo.refs[name]
        reachable = {oid for head in repo.refs.values() for oid in self._ancestors(head)}
        if revision in reachable:
            return revision
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def _ancestors(self, oid: str) -> list[str]:
        """Commits from this one back, newest first along first parents, then the rest."""
        found: dict[str, None] = {}
        queue = [oid]
        while queue:
            current = queue.pop(0)
            if current not in found:
                found[current] = None
                queue += self.commits[current].parents
        return list(found)

    def _merge_base(self, a: str, b: str) -> str:
        known = set(self._ancestors(a))
        return next(oid for oid in self._ancestors(b) if oid in known)

    def _merge_entry(self, base: Entry | None, mine: Entry | None, other: Entry | None) -> Entry | None:
        if mine == other or other == base:
            return mine
        if mine == base:
            return other
        if mine is None or other is None or mine.large or other.large:
            raise HubError(409, "There are merge conflicts.")
        texts = [self.blobs[entry.oid] if entry else b"" for entry in (mine, base, other)]
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, name) for name in ("mine", "base", "other")]
            for path, text in zip(paths, texts, strict=True):
                path.write_bytes(text)
            done = subprocess.run(["git", "merge-file", "-p", *paths], capture_output=True, check=False)
        if done.returncode != 0:
            raise HubError(409, "There are merge conflicts.")
        return self._store("README.md", done.stdout)


def is_large(path: str, sample: bytes, size: int) -> bool:
    """Whether the Hub stores a file as a large one: by size, or because it isn't text."""
    return size > LARGE or b"\0" in sample or path.endswith((".safetensors", ".bin"))


# --- the HTTP side ---------------------------------------------------------------------------------------------------

Route = Callable[["_Request"], Answer]
_ROUTES: list[tuple[str, re.Pattern[str], Route]] = []
_REPO = r"(?P<repo>[^/]+(?:/[^/]+)?)"


def route(method: str, pattern: str) -> Callable[[Route], Route]:
    def add(function: Route) -> Route:
        _ROUTES.append((method, re.compile(pattern), function))
        return function

    return add


@dataclass
class _Request:
    hub: Hub
    method: str
    parts: dict[str, str]
    query: dict[str, str]
    body: bytes
    account: str | None
    role: str
    headers: Any

    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    def repo(self) -> Repo:
        """The repository of the path, if this account may know of it."""
        found = self.hub.repos.get(self.parts["repo"])
        known = found and (not found.private or self.account in found.writers)
        if not found or not known:
            status, error = (404, "Repository not found") if self.account else (401, "Invalid username or password.")
            raise HubError(status, error, "RepoNotFound")
        return found

    def content_of(self) -> Repo:
        """The repository, if this account may read its files."""
        found = self.repo()
        if found.gated and self.account not in found.writers:
            raise HubError(
                403 if self.account else 401,
                f"Access to model {found.name} is restricted and you are not in the authorized list.",
                "GatedRepo",
            )
        return found

    def revision(self, found: Repo) -> str:
        return self.hub._resolve(found, self.parts.get("rev") or "main")

    def require_write(self) -> str:
        if self.account is None:
            raise HubError(401, "Invalid username or password.")
        if self.role == "read":
            raise HubError(403, "Your token has read rights only. It must have write rights for this.")
        return self.account


@route("GET", r"/api/whoami-v2")
def whoami(request: _Request) -> Answer:
    if request.account is None:
        raise HubError(401, "Invalid credentials in Authorization header")
    token = {"displayName": "test", "role": request.role, "createdAt": now()}
    user = {"type": "user", "id": "1", "name": request.account, "fullname": request.account, "orgs": []}
    return as_json(user | {"auth": {"type": "access_token", "accessToken": token}})


@route("GET", r"/api/agent-harnesses")
def agents(request: _Request) -> Answer:
    return as_json({"standardEnvVars": [], "harnesses": {}})


@route("GET", rf"/api/models/{_REPO}/revision/(?P<rev>[^/]+)")
@route("GET", rf"/api/models/{_REPO}")
def model_info(request: _Request) -> Answer:
    found = request.repo()
    oid = request.revision(found)
    names = {"_id": "1", "id": found.name, "modelId": found.name, "sha": oid, "tags": []}
    access = {"private": found.private, "gated": "manual" if found.gated else False, "disabled": False}
    use = {"createdAt": now(), "lastModified": now(), "downloads": 0, "likes": 0}
    siblings = [{"rfilename": path} for path in sorted(request.hub.commits[oid].tree)]
    return as_json(names | access | use | {"siblings": siblings})


def _described(path: str, entry: Entry) -> dict[str, Any]:
    record: dict[str, Any] = {"type": "file", "path": path, "oid": entry.oid, "size": entry.size}
    if entry.large:
        record["lfs"] = {"oid": entry.large, "size": entry.size, "pointerSize": 134}
    return record


@route("GET", rf"/api/models/{_REPO}/tree/(?P<rev>[^/]+)(?:/(?P<path>.+))?")
def tree(request: _Request) -> Answer:
    found = request.repo()
    files = request.hub.commits[request.revision(found)].tree
    folder = f"{request.parts['path']}/" if request.parts.get("path") else ""
    inside = {path: entry for path, entry in files.items() if path.startswith(folder)}
    if folder and not inside:
        raise HubError(404, f"{folder} does not exist", "EntryNotFound")
    recursive = request.query.get("recursive", "").lower() == "true"
    listed = [_described(p, e) for p, e in sorted(inside.items()) if recursive or "/" not in p[len(folder) :]]
    folders = sorted({folder + p[len(folder) :].split("/")[0] for p in inside if "/" in p[len(folder) :]})
    return as_json([{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in folders] + listed)


@route("GET", rf"/api/models/{_REPO}/commits/(?P<rev>[^/]+)")
def commits(request: _Request) -> Answer:
    found = request.repo()
    history = [request.hub.commits[oid] for oid in request.hub._ancestors(request.revision(found))]
    return as_json([
        {"id": c.oid, "title": c.title, "message": c.message, "date": c.date, "authors": [{"user": c.author}]}
        for c in history
    ])  # fmt: skip


@route("GET", rf"/{_REPO}/resolve/(?P<rev>[^/]+)/(?P<path>.+)")
def resolve(request: _Request) -> Answer:
    found = request.content_of()
    oid = request.revision(found)
    entry = request.hub.commits[oid].tree.get(request.parts["path"])
    commit = {"X-Repo-Commit": oid}
    if entry is None:
        raise HubError(404, "Entry not found", "EntryNotFound", **commit)
    if entry.large:
        location = f"{request.hub.content_host}/cdn/{entry.large}"
        linked = {"X-Linked-Etag": f'"{entry.large}"', "X-Linked-Size": str(entry.size)}
        return Answer(302, b"", {"Location": location, "ETag": f'"{entry.oid}"', **linked, **commit})
    return _file(request.hub.blobs[entry.oid], entry.oid, **commit)


@route("GET", r"/cdn/(?P<digest>[0-9a-f]{64})")
def content_delivery(request: _Request) -> Answer:
    if request.account is not None:
        raise HubError(400, "A token was sent to the content host")
    return _file(request.hub.large[request.parts["digest"]], request.parts["digest"])


def _file(content: bytes, etag: str, **headers: str) -> Answer:
    return Answer(200, content, {"Content-Type": "application/octet-stream", "ETag": f'"{etag}"', **headers})


@route("POST", r"/api/validate-yaml")
def validate_yaml(request: _Request) -> Answer:
    sent = request.json()
    errors, warned = front_matter_faults(sent["content"])
    told = {"errors": [{"message": m} for m in errors], "warnings": [{"message": m} for m in warned]}
    return as_json(told, 400 if errors else 200)


def front_matter_faults(content: str) -> tuple[list[str], list[str]]:
    """Errors and warnings of a card's front matter by the Hub's documented rules, written apart from harness's own."""
    match = re.match(r"\ufeff?---\s*\r?\n(.*?)\r?\n?---", content, re.DOTALL)
    if not match:
        return [], ["empty or missing yaml metadata in repo card"]
    try:
        data = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        return [f"YAML: {error}"], []
    if data is None:
        return [], ["empty or missing yaml metadata in repo card"]
    if not isinstance(data, dict):
        return ["YAML Metadata must be a mapping"], []
    errors = []
    licences = data.get("license", [])
    for name in licences if isinstance(licences, list) else [licences]:
        if name not in LICENCES:
            errors.append(f'"license" must be one of [{", ".join(sorted(LICENCES))}]')
    for i, model in enumerate(data.get("model-index") or []):
        for j, result in enumerate(model.get("results", [])):
            where = f'"model-index[{i}].results[{j}]'
            errors += [
                f'{where}.{part}.type" is required' for part in ("task", "dataset") if "type" not in result[part]
            ]
            errors += [f'{where}.dataset.name" is required' for _ in [0] if "name" not in result["dataset"]]
            errors += [f'{where}.metrics.value" is required' for m in result["metrics"] if "value" not in m]
    return errors, []


@route("POST", r"/api/repos/create")
def create_repo(request: _Request) -> Answer:
    account = request.require_write()
    sent = request.json()
    owner = sent.get("organization") or account
    if owner != account:
        raise HubError(403, f"You don't have the rights to create a model under the namespace {owner}")
    name = f"{owner}/{sent['name']}"
    if name in request.hub.repos:
        raise HubError(409, "You already created this model repo")
    request.hub.add_repo(name, {".gitattributes": b"*.bin filter=lfs\n"})
    return as_json({"url": f"{request.hub.endpoint}/{name}", "name": name, "id": name})


@route("POST", rf"/api/models/{_REPO}/preupload/(?P<rev>[^/]+)")
def preupload(request: _Request) -> Answer:
    found = request.content_of()
    _may_commit(request, found, bool(request.query.get("create_pr")))
    files = request.hub.commits[request.revision(found)].tree
    ignored = _ignored_patterns(request.hub, files, request.json().get("gitIgnore"))
    answers = []
    for file in request.json()["files"]:
        path, old = file["path"], files.get(file["path"])
        mode = "lfs" if is_large(path, base64.b64decode(file["sample"]), file["size"]) else "regular"
        is_ignored = any(fnmatch.fnmatch(path, pattern) for pattern in ignored)
        oid = (old.large or old.oid) if old else None
        answers.append({"path": path, "uploadMode": mode, "shouldIgnore": is_ignored, "oid": oid})
    return as_json({"files": answers})


def _ignored_patterns(hub: Hub, files: dict[str, Entry], given: str | None) -> list[str]:
    text = given if given is not None else hub.blobs[files[".gitignore"].oid].decode() if ".gitignore" in files else ""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


@route("POST", rf"/{_REPO}\.git/info/lfs/objects/batch")
def lfs_batch(request: _Request) -> Answer:
    request.content_of()
    request.require_write()
    objects = []
    for wanted in request.json()["objects"]:
        record: dict[str, Any] = {"oid": wanted["oid"], "size": wanted["size"]}
        if wanted["oid"] not in request.hub.large:
            record["actions"] = {
                "upload": {"href": f"{request.hub.endpoint}/store/{wanted['oid']}", "header": {}},
                "verify": {"href": f"{request.hub.endpoint}/verify/{wanted['oid']}", "header": {}},
            }
        objects.append(record)
    return as_json({"transfer": "basic", "objects": objects})


@route("PUT", r"/store/(?P<digest>[0-9a-f]{64})")
def lfs_upload(request: _Request) -> Answer:
    if hashlib.sha256(request.body).hexdigest() != request.parts["digest"]:
        raise HubError(400, "The content doesn't have the announced hash")
    request.hub.large[request.parts["digest"]] = request.body
    return Answer()


@route("POST", r"/verify/(?P<digest>[0-9a-f]{64})")
def lfs_verify(request: _Request) -> Answer:
    stored = request.hub.large.get(request.parts["digest"])
    if stored is None or len(stored) != request.json()["size"]:
        raise HubError(404, "Object not found")
    return as_json({})


def _may_commit(request: _Request, found: Repo, create_pr: bool) -> str:
    account = request.require_write()
    if create_pr:
        return account
    if match := re.fullmatch(r"refs/pr/(\d+)", request.parts["rev"]):
        pull = found.discussions.get(int(match[1]))
        if pull is None:
            raise HubError(404, f"Invalid rev id: {request.parts['rev']}", "RevisionNotFound")
        if account != pull.author and account not in found.writers:
            raise HubError(403, "You don't have the rights to push to this pull request")
        if pull.status != "open":
            raise HubError(403, f"This pull request is {pull.status}")
        return account
    if account not in found.writers:
        raise HubError(403, "pass `create_pr=1` as a query parameter to create a Pull Request")
    return account


@route("POST", rf"/api/models/{_REPO}/commit/(?P<rev>[^/]+)")
def commit(request: _Request) -> Answer:
    found = request.content_of()
    create_pr = bool(request.query.get("create_pr"))
    account = _may_commit(request, found, create_pr)
    lines = [json.loads(line) for line in request.body.splitlines() if line.strip()]
    header = next(line["value"] for line in lines if line["key"] == "header")
    head = request.revision(found)
    parent = header.get("parentCommit")
    if parent and not create_pr and parent != head:
        raise HubError(412, "A commit has happened since. Please refresh and try again.")
    start = request.hub._resolve(found, parent) if parent and create_pr else head
    files = dict(request.hub.commits[start].tree)
    for line in lines:
        _apply(request.hub, files, line)
    readme = files.get("README.md")
    if readme and (errors := front_matter_faults(request.hub.blobs[readme.oid].decode())[0]):
        raise HubError(400, "; ".join(errors))
    if files == request.hub.commits[start].tree:
        raise HubError(400, "No files have been modified")
    title, message, place = header["summary"], header["description"], f"{request.hub.endpoint}/{found.name}"
    ref, opened = request.hub._full_ref(request.parts["rev"]), {}
    if create_pr:
        num = max(found.discussions, default=0) + 1
        found.discussions[num] = Discussion(num, title, account, now())
        ref, opened = f"refs/pr/{num}", {"pullRequestUrl": f"{place}/discussions/{num}"}
        found.refs[ref] = start
    oid = request.hub._commit(found, ref, files, title, message, account)
    return as_json({"success": True, "commitOid": oid, "commitUrl": f"{place}/commit/{oid}", "hookOutput": ""} | opened)


def _apply(hub: Hub, files: dict[str, Entry], line: dict[str, Any]) -> None:
    value = line["value"]
    if line["key"] == "file":
        content = base64.b64decode(value["content"])
        if is_large(value["path"], content[:512], len(content)):
            raise HubError(413, f"{value['path']} must be stored as a large file")
        hub.blobs[git_hash(content)] = content
        files[value["path"]] = Entry(git_hash(content), len(content))
    elif line["key"] == "lfsFile":
        if value["oid"] not in hub.large:
            raise HubError(400, f"LFS pointer of {value['path']} points to an object that was not uploaded")
        files[value["path"]] = hub._pointer(value["oid"], len(hub.large[value["oid"]]))


@route("GET", rf"/api/models/{_REPO}/discussions")
def discussions(request: _Request) -> Answer:
    found = request.repo()
    listed = [
        _discussion(found, item)
        for item in sorted(found.discussions.values(), key=lambda item: -item.num)
        if request.query.get("author") in (None, item.author)
        and (request.query.get("type") != "pull_request" or item.is_pull_request)
        and request.query.get("status") in (None, "all", "open" if item.status in ("open", "draft") else "closed")
    ]
    return as_json({"discussions": listed, "count": len(listed), "start": 0})


def _discussion(found: Repo, item: Discussion) -> dict[str, Any]:
    return {
        "num": item.num,
        "title": item.title,
        "author": {"name": item.author},
        "createdAt": item.created,
        "status": item.status,
        "isPullRequest": item.is_pull_request,
        "repo": {"name": found.name, "type": "model"},
    }


@route("GET", rf"/api/models/{_REPO}/discussions/(?P<num>\d+)")
def discussion_details(request: _Request) -> Answer:
    found = request.repo()
    item = found.discussions.get(int(request.parts["num"]))
    if item is None:
        raise HubError(404, "Discussion not found")
    changes = {"base": item.base, "mergeCommitId": item.merge_commit}
    return as_json(_discussion(found, item) | {"events": [], "changes": changes, "filesWithConflicts": []})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer of two writes waits 40 ms
    hub: Hub

    def do_GET(self) -> None:
        self._handle()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Requests are kept in `Hub.log`, not printed."""

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ").strip()
        account, role = self.hub.tokens.get(token, (None, "read"))
        with self.hub.lock:
            self.hub.log.append(Logged(self.command, unquote(url.path), query, account, body))
            fault = self._fault(unquote(url.path))
        if fault and fault.drop == "before":
            return self._hang_up()
        if fault and fault.body is not None:
            return self._answer(Answer(200, fault.body, {"Content-Type": "application/json"} | fault.headers))
        failure = HubError(fault.status, fault.error, **fault.headers) if fault and fault.status else None
        if failure and fault and not fault.late:
            return self._answer(self._refusal(failure))
        with self.hub.lock:
            answer = self._route(url.path, query, body, account, role, bad_token=bool(token) and account is None)
        if fault and fault.drop == "after":
            return self._hang_up()
        if fault and fault.slow:
            time.sleep(fault.slow)
        return self._answer(self._refusal(failure) if failure else answer)

    def _fault(self, path: str) -> Fault | None:
        for fault in self.hub.faults:
            if fault.times and fault.method == self.command and re.search(fault.path, path):
                fault.times -= 1
                return fault
        return None

    def _route(
        self, path: str, query: dict[str, str], body: bytes, account: str | None, role: str, *, bad_token: bool
    ) -> Answer:
        method = "GET" if self.command == "HEAD" else self.command
        try:
            if bad_token and not path.startswith(("/cdn/", "/store/")):
                raise HubError(401, "Invalid credentials in Authorization header")
            for known, pattern, function in _ROUTES:
                if known == method and (match := pattern.fullmatch(path)):
                    parts = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
                    return function(_Request(self.hub, method, parts, query, body, account, role, self.headers))
            raise HubError(404, f"Sorry, there is no {method} {path}")
        except HubError as error:
            return self._refusal(error)

    @staticmethod
    def _refusal(error: HubError) -> Answer:
        refused = as_json({"error": str(error)}, error.status)
        return Answer(refused.status, refused.body, refused.headers | error.headers)

    def _answer(self, answer: Answer) -> None:
        try:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value.replace("\n", " "))
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client didn't wait; that is what slow answers are for

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


class RunningHub:
    """A context in which the Hub answers on a free port of the loopback interface."""

    def __init__(self) -> None:
        self.hub = Hub()

    def __enter__(self) -> Hub:
        handler = type("Handler", (_Handler,), {"hub": self.hub})
        self.server = _Server(("127.0.0.1", 0), handler)
        self.hub.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.hub.content_host = f"http://localhost:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self.hub

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
