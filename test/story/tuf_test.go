package story

import (
	"crypto"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/assay-dev/assay/controllers"
)

// mirror is a TUF repository on loopback that publishes a trusted root. What
// is wrong with such repositories is tested in internal/trust.
type mirror struct {
	t      *testing.T
	server *httptest.Server
	signer signature.Signer
	root   []byte

	mu       sync.Mutex
	version  int64
	files    map[string][]byte
	requests int
	down     bool
	hold     chan struct{} // what is asked waits until it is closed; nil for not
}

func newMirror(t *testing.T, trustedRoot []byte) *mirror {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := signature.LoadSigner(private, crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	m := &mirror{t: t, signer: signer, files: map[string][]byte{}}
	root := metadata.Root(m.expires())
	key, err := metadata.KeyFromPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{metadata.ROOT, metadata.TIMESTAMP, metadata.SNAPSHOT, metadata.TARGETS} {
		if err := root.Signed.AddKey(key, role); err != nil {
			t.Fatal(err)
		}
	}
	m.root = signed(m, root)
	m.files["1.root.json"] = m.root
	m.publish(trustedRoot)
	m.server = httptest.NewServer(m)
	t.Cleanup(m.server.Close)
	return m
}

func (m *mirror) expires() time.Time { return time.Now().Add(24 * time.Hour).UTC() }

func signed[T metadata.Roles](m *mirror, md *metadata.Metadata[T]) []byte {
	m.t.Helper()
	if _, err := md.Sign(m.signer); err != nil {
		m.t.Fatal(err)
	}
	raw, err := md.ToBytes(false)
	if err != nil {
		m.t.Fatal(err)
	}
	return raw
}

// publish publishes another trusted root.
func (m *mirror) publish(trustedRoot []byte) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.version++
	const name = "trusted_root.json"
	info, err := metadata.TargetFile().FromBytes(name, trustedRoot, "sha256")
	if err != nil {
		m.t.Fatal(err)
	}
	targets, snapshot, timestamp := metadata.Targets(m.expires()), metadata.Snapshot(m.expires()), metadata.Timestamp(m.expires())
	targets.Signed.Version, snapshot.Signed.Version, timestamp.Signed.Version = m.version, m.version, m.version
	targets.Signed.Targets[name] = info
	snapshot.Signed.Meta["targets.json"] = metadata.MetaFile(m.version)
	timestamp.Signed.Meta["snapshot.json"] = metadata.MetaFile(m.version)
	m.files["targets/"+info.Hashes["sha256"].String()+"."+name] = trustedRoot
	m.files[fmt.Sprintf("%d.targets.json", m.version)] = signed(m, targets)
	m.files[fmt.Sprintf("%d.snapshot.json", m.version)] = signed(m, snapshot)
	m.files["timestamp.json"] = signed(m, timestamp)
}

func (m *mirror) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func (m *mirror) asked() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	m.requests++
	content, found := m.files[strings.TrimPrefix(r.URL.Path, "/")]
	down, hold := m.down, m.hold
	m.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case down:
		http.Error(w, "secret of the mirror", http.StatusServiceUnavailable)
	case !found:
		http.NotFound(w, r)
	default:
		_, _ = w.Write(content)
	}
}

// options have a controller take its trusted root from the mirror.
func (m *mirror) options(o *controllers.Options) { o.TUFMirror, o.TUFRoot = m.server.URL, m.root }

// rootFile has a controller take its trusted root from a file.
func rootFile(t *testing.T, trustedRoot []byte) func(*controllers.Options) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trusted_root.json")
	if err := os.WriteFile(path, trustedRoot, 0o600); err != nil {
		t.Fatal(err)
	}
	return func(o *controllers.Options) { o.TrustedRoot = path }
}
