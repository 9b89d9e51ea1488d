package trust

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// flipped has one bit of the last letter in it changed.
func flipped(raw []byte) []byte {
	raw = bytes.Clone(raw)
	for i := len(raw) - 1; i >= 0; i-- {
		if raw[i] >= 'a' && raw[i] <= 'e' {
			raw[i] ^= 1
			return raw
		}
	}
	return raw
}

func with(old, new string) func([]byte) []byte {
	return func(raw []byte) []byte { return bytes.Replace(raw, []byte(old), []byte(new), 1) }
}

func only(suffix string, answer func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, suffix) && answer(w, r)
	}
}

func says(body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = io.WriteString(w, body)
		return true
	}
}

func redirects(to string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, to, http.StatusFound)
		return true
	}
}

// Whatever a mirror answers, the root in use stays, the log says why, nothing
// of what it answered is repeated, and it is forgiven when it mends its ways.
func TestLies(t *testing.T) {
	tests := map[string]struct {
		lie  func(*mirror)
		want Cause
	}{
		"target changed":               {func(m *mirror) { m.tamper(".trusted_root.json", flipped) }, Untrusted},
		"target longer":                {func(m *mirror) { m.tamper(".trusted_root.json", with("{", "{ ")) }, Untrusted},
		"target shorter":               {func(m *mirror) { m.tamper(".trusted_root.json", with("{", "")) }, Untrusted},
		"target with more before it":   {func(m *mirror) { m.tamper(".trusted_root.json", with("", "SECRET")) }, Untrusted},
		"timestamp signature":          {func(m *mirror) { m.tamper("timestamp.json", flipped) }, Untrusted},
		"snapshot signature":           {func(m *mirror) { m.tamper(".snapshot.json", flipped) }, Untrusted},
		"targets signature":            {func(m *mirror) { m.tamper(".targets.json", flipped) }, Untrusted},
		"timestamp content":            {func(m *mirror) { m.tamper("timestamp.json", with(`"version":2`, `"version":9`)) }, Untrusted},
		"snapshot content":             {func(m *mirror) { m.tamper(".snapshot.json", with(`2027`, `2028`)) }, Untrusted},
		"targets content":              {func(m *mirror) { m.tamper(".targets.json", with(`2027`, `2028`)) }, Untrusted},
		"timestamp of another type":    {func(m *mirror) { m.answer(only("timestamp.json", says(`{"signed":{"_type":"SECRET"}}`))) }, Untrusted},
		"timestamp with equal keys":    {func(m *mirror) { m.answer(only("timestamp.json", says(twoSignatures))) }, Untrusted},
		"timestamp is not JSON":        {func(m *mirror) { m.answer(only("timestamp.json", says("SECRET"))) }, Untrusted},
		"everything is a page of HTML": {func(m *mirror) { m.answer(says("<html>SECRET</html>")) }, Untrusted},
		"nothing there":                {func(m *mirror) { m.answer(status(404)) }, Unreachable},
		"nothing allowed":              {func(m *mirror) { m.answer(status(403)) }, Unreachable},
		"root fails":                   {func(m *mirror) { m.answer(only(".root.json", status(500))) }, Unreachable},
		"everything fails":             {func(m *mirror) { m.answer(status(503)) }, Unreachable},
		"no content":                   {func(m *mirror) { m.answer(status(204)) }, Unreachable},
		"redirects for ever":           {func(m *mirror) { m.answer(redirects("/SECRET")) }, Unreachable},
		"redirects to a file":          {func(m *mirror) { m.answer(redirects("file:///etc/SECRET")) }, Unreachable},
		"hangs up":                     {func(m *mirror) { m.answer(hangUp) }, Unreachable},
		"does not speak HTTP":          {func(m *mirror) { m.answer(noHTTP) }, Unreachable},
		"breaks off":                   {func(m *mirror) { m.answer(only("timestamp.json", breakOff)) }, Unreachable},

		// Signed, but not to be used.
		"trusted root is not JSON": {publishTarget("SECRET"), NoTrustedRoot},
		"trusted root is empty":    {publishTarget(""), NoTrustedRoot},
		"trusted root of nothing":  {publishTarget(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`), NoTrustedRoot},
		"trusted root is too long": {publishTarget(strings.Repeat(" ", maxTrustedRootBytes+1)), NoTrustedRoot},
		"no trusted root":          {func(m *mirror) { m.editTargets = func(x *metadata.TargetsType) { clear(x.Targets) }; m.publish() }, NoTrustedRoot},
		"timestamp names nothing":  {func(m *mirror) { m.editTimestamp = func(x *metadata.TimestampType) { clear(x.Meta) }; m.publish() }, Broken},
		"snapshot names nothing":   {func(m *mirror) { m.editSnapshot = func(x *metadata.SnapshotType) { clear(x.Meta) }; m.publish() }, Untrusted},
		"snapshot names a null": {func(m *mirror) {
			m.editSnapshot = func(x *metadata.SnapshotType) { x.Meta["x.json"] = nil }
			m.publish()
		}, Untrusted},
		"unknown hash of a target":  {func(m *mirror) { m.editTargets = rename("sha512", "SECRET"); m.publish() }, Untrusted},
		"target without its sha256": {func(m *mirror) { m.editTargets = rename("sha256", "sha384"); m.publish() }, Unreachable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			m := newMirror(t, c.Now())
			r := begin(t, c, m.options())
			m.target = rootJSON(t, otherRoot)
			m.publish()
			good := m.state()
			tt.lie(m)
			for range 2 {
				r.demand()
				r.wantFailures(1, tt.want)
				r.wantRoot(oneRoot, 1)
			}
			m.answer(nil)
			m.restore(good)
			m.target, m.editTargets, m.editSnapshot, m.editTimestamp = rootJSON(t, thirdRoot), nil, nil, nil
			m.publish()
			r.demand()
			r.wantFailures(0, "")
			r.wantRoot(thirdRoot, 2)
			if strings.Contains(r.log.String(), "SECRET") {
				t.Errorf("the log repeats what the mirror answered:\n%s", r.log)
			}
		})
	}
}

const twoSignatures = `{"signed":{"_type":"timestamp"},"signatures":[{"keyid":"SECRET","sig":""},{"keyid":"SECRET","sig":""}]}`

func publishTarget(content string) func(*mirror) {
	return func(m *mirror) {
		m.target = []byte(content)
		m.publish()
	}
}

func rename(old, new string) func(*metadata.TargetsType) {
	return func(x *metadata.TargetsType) {
		hashes := x.Targets[trustedRootName].Hashes
		hashes[new] = hashes[old]
		delete(hashes, old)
	}
}

func hangUp(w http.ResponseWriter, _ *http.Request) bool {
	connection, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		connection.Close()
	}
	return true
}

func noHTTP(w http.ResponseWriter, _ *http.Request) bool {
	connection, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_, _ = io.WriteString(connection, "SECRET\r\n\r\n")
		connection.Close()
	}
	return true
}

func breakOff(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, "SECRET")
	return true
}

// An answer without an end is read to its limit and no further, whichever file
// it is in the place of.
func TestEndless(t *testing.T) {
	const endless = 64 << 20
	limits := map[string]int64{
		".root.json": maxRootBytes, "timestamp.json": maxTimestampBytes, ".snapshot.json": maxSnapshotBytes,
		".targets.json": maxTargetsBytes, ".trusted_root.json": 8 << 10,
	}
	for suffix, limit := range limits {
		t.Run(suffix, func(t *testing.T) {
			c := newClock()
			m := newMirror(t, c.Now())
			r := begin(t, c, m.options())
			m.target = rootJSON(t, otherRoot)
			m.publish()
			var written atomic.Int64
			ended := make(chan struct{}, 1)
			m.answer(only(suffix, func(w http.ResponseWriter, _ *http.Request) bool {
				chunk := bytes.Repeat([]byte("SECRET "), 1000)
				for written.Load() < endless {
					n, err := w.Write(chunk)
					written.Add(int64(n))
					if err != nil {
						break
					}
				}
				ended <- struct{}{}
				return true
			}))
			r.demand()
			<-ended
			r.wantFailures(1, Untrusted)
			r.wantRoot(oneRoot, 1)
			// What lies in the buffers of two sockets was written, but not read.
			if found := written.Load(); found >= endless {
				t.Errorf("expected about %d bytes to be read, the mirror wrote %d", limit, found)
			}
			if want := fmt.Sprintf("more than %d bytes", limit); suffix != ".trusted_root.json" && !strings.Contains(r.log.String(), want) {
				t.Errorf("expected %q in the log, found:\n%s", want, r.log)
			}
		})
	}
}

// A length that is signed is a smaller limit, but never a larger one.
func TestSignedLength(t *testing.T) {
	for signed, want := range map[int64]int64{0: 10, -1: 10, 1: 1, 9: 9, 10: 10, 11: 10, 1 << 62: 10} {
		if found := limit(signed, 10); found != want {
			t.Errorf("limit(%d, 10): expected %d, found %d", signed, want, found)
		}
	}
}

// go-tuf panics on these. The first needs no key at all, where the snapshot
// has no hashes.
func TestPanicIsAFailure(t *testing.T) {
	tests := map[string]func(*mirror){
		"by the mirror": func(m *mirror) {
			m.answer(only(".targets.json", says(`{"signed":{"_type":"targets","targets":{"SECRET":null}},"signatures":[]}`)))
		},
		"by the timestamp's key": func(m *mirror) {
			m.editTimestamp = func(x *metadata.TimestampType) { x.Meta["snapshot.json"] = nil }
			m.publish()
		},
		"by the root's key": func(m *mirror) {
			m.editRoot = func(x *metadata.RootType) { x.Keys[x.Roles[metadata.TIMESTAMP].KeyIDs[0]] = nil }
			m.publishRoot()
		},
	}
	for name, lie := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			m := newMirror(t, c.Now())
			r := begin(t, c, m.options())
			m.target = rootJSON(t, otherRoot)
			m.publish()
			lie(m)
			r.demand()
			r.wantFailures(1, Broken)
			r.wantRoot(oneRoot, 1)
			m.answer(nil)
			m.editTimestamp, m.editRoot = nil, nil
			m.publishRoot()
			m.publish()
			r.demand()
			r.wantFailures(0, "")
			r.wantRoot(otherRoot, 2)
			if strings.Contains(r.log.String(), "SECRET") {
				t.Errorf("the log repeats what the mirror answered:\n%s", r.log)
			}
		})
	}
}

// A trusted root that is too long, by what is signed, is not read.
func TestLongTrustedRootIsNotRead(t *testing.T) {
	c := newClock()
	m := newMirror(t, c.Now())
	publishTarget(strings.Repeat(" ", maxTrustedRootBytes+1))(m)
	r := begin(t, c, m.options())
	r.wantFailures(1, NoTrustedRoot)
	wantRequests(t, m, "2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json")
}

// Lies at the first fetch are not told from by what is known already, and leave
// nothing behind that a later refresh stumbles over.
func TestFirstLies(t *testing.T) {
	tests := map[string]func(*mirror){
		"timestamp signature":     func(m *mirror) { m.tamper("timestamp.json", flipped) },
		"timestamp names nothing": func(m *mirror) { m.editTimestamp = func(x *metadata.TimestampType) { clear(x.Meta) } },
		"timestamp names a null":  func(m *mirror) { m.editTimestamp = func(x *metadata.TimestampType) { x.Meta["snapshot.json"] = nil } },
		"snapshot names nothing":  func(m *mirror) { m.editSnapshot = func(x *metadata.SnapshotType) { clear(x.Meta) } },
		"snapshot names a null":   func(m *mirror) { m.editSnapshot = func(x *metadata.SnapshotType) { x.Meta["x.json"] = nil } },
	}
	for name, lie := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			m := newMirror(t, c.Now())
			if lie(m); m.editTimestamp != nil || m.editSnapshot != nil {
				m.publish()
			}
			r := begin(t, c, m.options())
			r.wantFailures(1, Untrusted)
			r.wantUnavailable(m.origin(), Untrusted)
			if found := r.changed(); found != 0 {
				t.Errorf("expected to be told of nothing, found %d changes", found)
			}
			m.editTimestamp, m.editSnapshot = nil, nil
			m.publish()
			r.attempt()
			r.wantFailures(0, "")
			r.wantRoot(oneRoot, 1)
		})
	}
}
