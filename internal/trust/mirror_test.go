package trust

import (
	"crypto"
	"crypto/ed25519"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

var roles = []string{metadata.ROOT, metadata.TIMESTAMP, metadata.SNAPSHOT, metadata.TARGETS}

// mirror is a TUF repository on loopback, signed with real keys. Its fields are
// what the next publish signs.
type mirror struct {
	t       testing.TB
	server  *httptest.Server
	first   []byte // the first root.json: the trust anchor
	keys    map[string]signature.Signer
	version map[string]int64
	expires map[string]time.Time
	target  []byte // trusted_root.json
	// lengths has metadata name length and hash of what it names.
	lengths      bool
	inconsistent bool // no consistent snapshots
	// Called before the metadata is signed; may be nil.
	editRoot      func(*metadata.RootType)
	editTimestamp func(*metadata.TimestampType)
	editSnapshot  func(*metadata.SnapshotType)
	editTargets   func(*metadata.TargetsType)

	mu        sync.Mutex
	files     map[string][]byte
	requests  []string
	agents    map[string]bool
	intercept func(http.ResponseWriter, *http.Request) bool // true: answered
}

func newMirror(t testing.TB, now time.Time) *mirror {
	t.Helper()
	m := &mirror{
		t: t, target: rootJSON(t, oneRoot),
		keys: map[string]signature.Signer{}, version: map[string]int64{}, expires: map[string]time.Time{},
		files: map[string][]byte{}, agents: map[string]bool{},
	}
	for _, role := range roles {
		m.keys[role] = newSigner(t)
		m.expires[role] = now.Add(365 * 24 * time.Hour)
	}
	m.publishRoot()
	m.first = m.files["1.root.json"]
	m.publish()
	m.server = httptest.NewServer(m)
	t.Cleanup(m.server.Close)
	return m
}

func (m *mirror) options() Options { return Options{Mirror: m.server.URL, TUFRoot: m.first} }
func (m *mirror) origin() string {
	return "the TUF mirror " + strings.TrimPrefix(m.server.URL, "http://")
}

func newSigner(t testing.TB) signature.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := signature.LoadSigner(private, crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func sign[T metadata.Roles](t testing.TB, m *metadata.Metadata[T], signers ...signature.Signer) []byte {
	t.Helper()
	for _, s := range signers {
		if _, err := m.Sign(s); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := m.ToBytes(false)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// publishRoot publishes the next version of root.json with the keys of now,
// signed by the root's and by others.
func (m *mirror) publishRoot(others ...signature.Signer) {
	m.t.Helper()
	m.publishRootSignedBy(append(others, m.keys[metadata.ROOT])...)
}

func (m *mirror) publishRootSignedBy(signers ...signature.Signer) {
	m.t.Helper()
	m.version[metadata.ROOT]++
	root := metadata.Root(m.expires[metadata.ROOT])
	root.Signed.Version = m.version[metadata.ROOT]
	root.Signed.ConsistentSnapshot = !m.inconsistent
	for role, signer := range m.keys {
		public, err := signer.PublicKey()
		if err != nil {
			m.t.Fatal(err)
		}
		key, err := metadata.KeyFromPublicKey(public)
		if err != nil {
			m.t.Fatal(err)
		}
		if err := root.Signed.AddKey(key, role); err != nil {
			m.t.Fatal(err)
		}
	}
	edit(&root.Signed, m.editRoot)
	m.put(fmt.Sprintf("%d.root.json", root.Signed.Version), sign(m.t, root, signers...))
}

// publish publishes the next version of all metadata but the root, and the
// target.
func (m *mirror) publish() {
	m.t.Helper()
	m.version[metadata.TARGETS]++
	targets := metadata.Targets(m.expires[metadata.TARGETS])
	targets.Signed.Version = m.version[metadata.TARGETS]
	info, err := metadata.TargetFile().FromBytes(trustedRootName, m.target, "sha256", "sha512")
	if err != nil {
		m.t.Fatal(err)
	}
	targets.Signed.Targets[trustedRootName] = info
	edit(&targets.Signed, m.editTargets)
	m.put(m.named("targets/", info.Hashes["sha256"].String(), trustedRootName), m.target)
	raw := sign(m.t, targets, m.keys[metadata.TARGETS])
	m.put(m.named("", fmt.Sprint(targets.Signed.Version), "targets.json"), raw)

	m.version[metadata.SNAPSHOT]++
	snapshot := metadata.Snapshot(m.expires[metadata.SNAPSHOT])
	snapshot.Signed.Version = m.version[metadata.SNAPSHOT]
	snapshot.Signed.Meta["targets.json"] = m.meta(targets.Signed.Version, raw)
	edit(&snapshot.Signed, m.editSnapshot)
	raw = sign(m.t, snapshot, m.keys[metadata.SNAPSHOT])
	m.put(m.named("", fmt.Sprint(snapshot.Signed.Version), "snapshot.json"), raw)

	m.publishTimestamp(m.meta(snapshot.Signed.Version, raw))
}

// publishTimestamp publishes the next version of timestamp.json.
func (m *mirror) publishTimestamp(snapshot *metadata.MetaFiles) {
	m.t.Helper()
	m.version[metadata.TIMESTAMP]++
	timestamp := metadata.Timestamp(m.expires[metadata.TIMESTAMP])
	timestamp.Signed.Version = m.version[metadata.TIMESTAMP]
	timestamp.Signed.Meta["snapshot.json"] = snapshot
	edit(&timestamp.Signed, m.editTimestamp)
	m.put("timestamp.json", sign(m.t, timestamp, m.keys[metadata.TIMESTAMP]))
}

func edit[T any](value *T, f func(*T)) {
	if f != nil {
		f(value)
	}
}

func (m *mirror) meta(version int64, raw []byte) *metadata.MetaFiles {
	file := metadata.MetaFile(version)
	if !m.lengths {
		return file
	}
	info, err := metadata.TargetFile().FromBytes("", raw)
	if err != nil {
		m.t.Fatal(err)
	}
	file.Length, file.Hashes = info.Length, info.Hashes
	return file
}

func (m *mirror) named(folder, prefix, name string) string {
	if m.inconsistent {
		return folder + name
	}
	return folder + prefix + "." + name
}

func (m *mirror) put(name string, raw []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[name] = raw
}

// state is what the mirror answers now; restore brings it back.
func (m *mirror) state() map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.files)
}

func (m *mirror) restore(files map[string][]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files = maps.Clone(files)
}

// tamper replaces what the mirror answers for files whose name ends so.
func (m *mirror) tamper(suffix string, f func([]byte) []byte) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	found := false
	for name, raw := range m.files {
		if strings.HasSuffix(name, suffix) {
			m.files[name], found = f(raw), true
		}
	}
	if !found {
		m.t.Fatalf("the mirror has no %s", suffix)
	}
}

// answer has the mirror answer by f, where it returns true; nil ends that.
func (m *mirror) answer(f func(http.ResponseWriter, *http.Request) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.intercept = f
}

// taken returns the requests since it was called last.
func (m *mirror) taken() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	requests := m.requests
	m.requests = nil
	return requests
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	name := strings.TrimPrefix(r.URL.Path, "/")
	m.requests = append(m.requests, name)
	m.agents[r.UserAgent()] = true
	raw, found, intercept := m.files[name], m.files[name] != nil, m.intercept
	m.mu.Unlock()
	if intercept != nil && intercept(w, r) {
		return
	}
	if !found {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(raw)
}

// status answers every request so.
func status(code int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "SECRET", code)
		return true
	}
}
