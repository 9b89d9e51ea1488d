package trust

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

func wantRequests(t *testing.T, m *mirror, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, m.taken()); diff != "" {
		t.Errorf("requests (-expected +found):\n%s", diff)
	}
}

// targetName is where the mirror has the target.
func targetName(t *testing.T, m *mirror) string {
	t.Helper()
	info, err := metadata.TargetFile().FromBytes("", m.target)
	if err != nil {
		t.Fatal(err)
	}
	return "targets/" + hex.EncodeToString(info.Hashes["sha256"]) + ".trusted_root.json"
}

func TestFirstFetch(t *testing.T) {
	tests := map[string]struct {
		prepare func(*mirror)
		want    func(*mirror) []string
	}{
		"as Sigstore does": {func(*mirror) {}, func(m *mirror) []string {
			return []string{"2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json", targetName(t, m)}
		}},
		"with lengths and hashes": {func(m *mirror) { m.lengths = true }, func(m *mirror) []string {
			return []string{"2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json", targetName(t, m)}
		}},
		"from a store that forbids what is not there": {
			func(m *mirror) { m.answer(only("2.root.json", status(http.StatusForbidden))) },
			func(m *mirror) []string {
				return []string{"2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json", targetName(t, m)}
			},
		},
		"without consistent snapshots": {func(m *mirror) { m.inconsistent = true; m.publishRoot() }, func(*mirror) []string {
			return []string{"2.root.json", "3.root.json", "timestamp.json", "snapshot.json", "targets.json", "targets/trusted_root.json"}
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			m := newMirror(t, c.Now())
			tt.prepare(m)
			m.publish()
			o := m.options()
			o.UserAgent = "assay-test"
			r := begin(t, c, o)
			r.wantRoot(oneRoot, 1)
			r.wantFailures(0, "")
			wantRequests(t, m, tt.want(m)...)
			if diff := cmp.Diff(map[string]bool{"assay-test": true}, m.agents); diff != "" {
				t.Errorf("user agents (-expected +found):\n%s", diff)
			}
		})
	}
}

// A refresh that finds nothing new asks two questions, and tells nobody.
func TestNothingNew(t *testing.T) {
	c := newClock()
	m := newMirror(t, c.Now())
	r := begin(t, c, m.options())
	m.taken()
	for range 2 {
		r.attempt()
		r.wantRoot(oneRoot, 1)
		wantRequests(t, m, "2.root.json", "timestamp.json")
	}
	m.publish() // New metadata for the same root.
	r.attempt()
	r.wantRoot(oneRoot, 1)
	wantRequests(t, m, "2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json")
	r.wantFailures(0, "")
}

func TestAnotherTrustedRoot(t *testing.T) {
	c := newClock()
	m := newMirror(t, c.Now())
	r := begin(t, c, m.options())
	m.target = rootJSON(t, otherRoot)
	m.publish()
	r.wantRoot(oneRoot, 1)
	r.demand()
	r.wantRoot(otherRoot, 2)
	r.demand()
	r.wantRoot(otherRoot, 2)
	r.wantFailures(0, "")
}

func TestRootRotation(t *testing.T) {
	tests := map[string]struct {
		rotate  func(m *mirror, old, new signature.Signer)
		refused bool
	}{
		"signed by both": {func(m *mirror, old, _ signature.Signer) { m.publishRoot(old) }, false},
		"two versions": {func(m *mirror, old, new signature.Signer) {
			m.publishRoot(old)
			m.keys[metadata.ROOT] = newSigner(m.t)
			m.publishRoot(new)
		}, false},
		"not signed by the old key":   {func(m *mirror, _, new signature.Signer) { m.publishRootSignedBy(new) }, true},
		"not signed by the new key":   {func(m *mirror, old, _ signature.Signer) { m.publishRootSignedBy(old) }, true},
		"not signed":                  {func(m *mirror, _, _ signature.Signer) { m.publishRootSignedBy() }, true},
		"of a version that is no 2":   {func(m *mirror, old, _ signature.Signer) { m.version[metadata.ROOT]++; m.publishRoot(old) }, true},
		"that needs more signatures":  {func(m *mirror, old, _ signature.Signer) { m.editRoot = threshold(2); m.publishRoot(old) }, true},
		"that trusts nobody any more": {func(m *mirror, old, _ signature.Signer) { m.editRoot = threshold(0); m.publishRoot(old) }, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			m := newMirror(t, c.Now())
			r := begin(t, c, m.options())
			old := m.keys[metadata.ROOT]
			m.keys[metadata.ROOT] = newSigner(t)
			if !tt.refused { // Then the new keys of the other roles count, too.
				for _, role := range roles[1:] {
					m.keys[role] = newSigner(t)
				}
			}
			tt.rotate(m, old, m.keys[metadata.ROOT])
			if raw, ok := m.files["3.root.json"]; ok && m.files["2.root.json"] == nil {
				m.put("2.root.json", raw)
			}
			m.target = rootJSON(t, otherRoot)
			m.publish()
			r.demand()
			if tt.refused {
				r.wantFailures(1, Untrusted)
				r.wantRoot(oneRoot, 1)
				return
			}
			r.wantFailures(0, "")
			r.wantRoot(otherRoot, 2)
		})
	}
}

func threshold(n int) func(*metadata.RootType) {
	return func(root *metadata.RootType) { root.Roles[metadata.ROOT].Threshold = n }
}

// What a root.json took the trust from stays untrusted, although the process
// began with a root.json that trusts it, and a mirror goes back to that one.
func TestRootRollback(t *testing.T) {
	c := newClock()
	m := newMirror(t, c.Now())
	r := begin(t, c, m.options())
	before, stolen := m.state(), m.keys[metadata.TIMESTAMP]
	m.keys[metadata.TIMESTAMP] = newSigner(t)
	m.publishRoot()
	m.answer(func(w http.ResponseWriter, q *http.Request) bool {
		return q.URL.Path == "/timestamp.json" && status(503)(w, q)
	})
	r.demand() // The rest of the refresh fails; the new root.json stands.
	r.wantFailures(1, Unreachable)
	m.answer(nil)

	m.restore(before)
	m.keys[metadata.TIMESTAMP] = stolen
	m.target = rootJSON(t, otherRoot)
	m.publish()
	m.taken()
	r.demand()
	r.wantFailures(1, Untrusted)
	r.wantRoot(oneRoot, 1)
	wantRequests(t, m, "3.root.json", "timestamp.json")
}

func TestRollback(t *testing.T) {
	tests := map[string]func(m *mirror, before map[string][]byte){
		"everything": func(m *mirror, before map[string][]byte) { m.restore(before) },
		"timestamp": func(m *mirror, _ map[string][]byte) {
			m.version[metadata.TIMESTAMP] = 0
			m.publish()
		},
		"snapshot": func(m *mirror, _ map[string][]byte) {
			m.version[metadata.SNAPSHOT] = 0
			m.publish()
		},
		"targets": func(m *mirror, _ map[string][]byte) {
			m.version[metadata.TARGETS] = 0
			m.publish()
		},
		"a file of the snapshot that is left out": func(m *mirror, _ map[string][]byte) {
			m.editSnapshot = nil
			m.publish()
		},
	}
	for name, attack := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			m := newMirror(t, c.Now())
			before := m.state()
			m.target = rootJSON(t, otherRoot)
			m.editSnapshot = func(s *metadata.SnapshotType) { s.Meta["registry.json"] = metadata.MetaFile(7) }
			m.publish()
			r := begin(t, c, m.options())
			r.wantRoot(otherRoot, 1)
			m.target = rootJSON(t, oneRoot)
			attack(m, before)
			for range 2 {
				r.demand()
				r.wantFailures(1, Untrusted)
				r.wantRoot(otherRoot, 1)
			}
		})
	}
}

// A timestamp counts from when it was verified, not from when the refresh that
// read it succeeded.
func TestRollbackAfterFailure(t *testing.T) {
	c := newClock()
	m := newMirror(t, c.Now())
	r := begin(t, c, m.options())
	before := m.state()
	m.target = rootJSON(t, otherRoot)
	m.publish()
	m.answer(func(w http.ResponseWriter, q *http.Request) bool {
		return q.URL.Path == "/2.snapshot.json" && status(404)(w, q)
	})
	r.demand()
	r.wantFailures(1, Unreachable)
	m.answer(nil)
	after := m.state()
	m.restore(before)
	r.demand()
	r.wantFailures(1, Untrusted)
	m.restore(after)
	r.demand()
	r.wantFailures(0, "")
	r.wantRoot(otherRoot, 2)
}

// A thief of the timestamp's key who signed far ahead is forgotten with the key
// (5.3.11 of the specification).
func TestFastForwardRecovery(t *testing.T) {
	c := newClock()
	m := newMirror(t, c.Now())
	m.version[metadata.TIMESTAMP] = 1 << 40
	m.publish()
	r := begin(t, c, m.options())
	m.version[metadata.TIMESTAMP] = 1
	m.target = rootJSON(t, otherRoot)
	m.publish()
	r.demand()
	r.wantFailures(1, Untrusted)
	m.keys[metadata.TIMESTAMP] = newSigner(t)
	m.publishRoot()
	m.publish()
	r.demand()
	r.wantFailures(0, "")
	r.wantRoot(otherRoot, 2)
}

// Metadata that has expired is refused, whichever it is, to the instant, and
// the mirror's next is good.
func TestExpiredMirror(t *testing.T) {
	for _, role := range roles {
		for name, age := range map[string]time.Duration{"just now": 0, "long ago": 24 * time.Hour} {
			t.Run(fmt.Sprint(role, " ", name), func(t *testing.T) {
				c := newClock()
				m := newMirror(t, c.Now())
				good := m.expires[role]
				m.expires[role] = c.Now().Add(-age)
				m.publishRoot()
				m.publish()
				r := begin(t, c, m.options())
				r.wantFailures(1, Expired)
				r.wantUnavailable(m.origin(), Expired)
				m.expires[role] = good
				m.publishRoot()
				m.publish()
				r.attempt()
				r.wantFailures(0, "")
				r.wantRoot(oneRoot, 1)
			})
		}
	}
}
