package story

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

// hostile is a registry of its own that answers something.
type hostile struct {
	// prepare pushes and signs; a module with a signature in Cosign's format
	// where it is nil.
	prepare func(v *victim)
	auth    registry.Auth
	place   string
	answer  registry.Interceptor
	spec    func(s *v1alpha1.ModuleSourceSpec)
	want    map[string]string
}

var (
	manifestHeader = http.Header{"Content-Type": {"application/vnd.oci.image.manifest.v1+json"}}
	indexHeader    = http.Header{"Content-Type": {"application/vnd.oci.image.index.v1+json"}}
)

// informed answers with that many informational responses first.
func informed(n int) registry.Interceptor {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		for range n {
			w.Header().Set("Link", "</x>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
		}
		w.Header().Del("Link")
		next.ServeHTTP(w, r)
	}
}

// manyHeaders answers with so many headers beside those of the registry.
func manyHeaders(n int) registry.Interceptor {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		for i := range n {
			w.Header().Set(fmt.Sprintf("X-%d", i), "x")
		}
		next.ServeHTTP(w, r)
	}
}

// hostileRows are what a registry may answer, on whatever way to a module that
// is signed.
func hostileRows(t *testing.T) map[string]hostile {
	ranged := func(s *v1alpha1.ModuleSourceSpec) { s.Version = "1.x" }
	unavailable, fetch := unreachable("RegistryUnavailable"), fetchFailed("RegistryUnavailable")
	token := &registry.TokenAuth{}
	metadata := registry.Respond(http.StatusTemporaryRedirect, http.Header{"Location": {"http://169.254.169.254/latest/meta-data/"}}, nil)
	slow := registry.Trickle(time.Second)
	short := registry.Respond(http.StatusOK, http.Header{"Content-Length": {"100000"}}, []byte("{}"))
	rows := map[string]hostile{
		// Bodies without end, or nearly.
		"ping without end":          {place: atPing, answer: registry.Endless(200, nil, nil, []byte("x")), want: published()},
		"tags without end":          {place: atTags, answer: registry.Endless(200, nil, []byte(`{"tags":[`), []byte(`"1.0.0",`)), spec: ranged, want: unavailable},
		"Cosign manifest, endless":  {place: atCosignManifest, answer: registry.Endless(200, manifestHeader, []byte(`{"layers":[`), []byte(`{},`)), want: unavailable},
		"referrers, endless":        {place: atReferrers, answer: registry.Endless(200, indexHeader, []byte(`{"manifests":[`), []byte(`{},`)), want: unavailable},
		"signature, endless":        {place: atSignatureBlob, answer: registry.Endless(200, nil, nil, []byte("x")), want: unavailable},
		"module manifest, endless":  {place: atModuleManifest, answer: registry.Endless(200, manifestHeader, []byte(`{"layers":[`), []byte(`{},`)), want: fetch},
		"layer, endless":            {place: atLayer + "0", answer: registry.Endless(200, nil, zipped(nil), []byte{0}), want: fetch},
		"error, endless":            {place: atHead, answer: registry.Endless(500, nil, nil, []byte("x")), want: unavailable},
		"rate limit, endless":       {place: atPing, answer: registry.Endless(429, nil, nil, []byte("x")), want: unreachable("RateLimited")},
		"tags, a byte a second":     {place: atTags, answer: slow, spec: ranged, want: unavailable},
		"Cosign manifest, slow":     {place: atCosignManifest, answer: slow, want: unavailable},
		"referrers, slow":           {place: atReferrers, answer: slow, want: unavailable},
		"signature, slow":           {place: atSignatureBlob, answer: slow, want: unavailable},
		"module manifest, slow":     {place: atModuleManifest, answer: slow, want: fetch},
		"layer, slow":               {place: atLayer + "0", answer: slow, want: fetch},
		"Cosign manifest, cut":      {place: atCosignManifest, answer: short, want: unavailable},
		"referrers, cut":            {place: atReferrers, answer: registry.Respond(200, http.Header{"Content-Length": {"100000"}, "Content-Type": indexHeader["Content-Type"]}, []byte("{}")), want: unavailable},
		"module manifest, cut":      {place: atModuleManifest, answer: short, want: fetch},
		"layer, cut":                {place: atLayer + "0", answer: short, want: fetch},
		"tags, cut":                 {place: atTags, answer: short, spec: ranged, want: unavailable},
		"referrers, to another end": {place: atReferrers, answer: linking(`</v2/app/referrers/x>; rel="next"`, `{"manifests":[]}`), want: notJudged("TooManySignatures")},
		"tags, to the same page":    {place: atTags, answer: linking(`</v2/app/tags/list?n=1000>; rel="next"`, `{"tags":[]}`), spec: ranged, want: unavailable},

		// Headers.
		"many headers":       {place: atHead, answer: manyHeaders(20_000), want: unavailable},
		"some headers":       {place: atHead, answer: manyHeaders(100), want: published()},
		"a huge header":      {place: atTags, answer: registry.Respond(200, http.Header{"Link": {strings.Repeat("x", 1<<20)}}, nil), spec: ranged, want: unavailable},
		"1xx without end":    {place: atHead, answer: informed(10_000), want: unavailable},
		"not HTTP":           {place: atHead, answer: registry.Raw([]byte("SSH-2.0-x\r\n")), want: unavailable},
		"a status of 999":    {place: atHead, answer: registry.Raw([]byte("HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n")), want: unavailable},
		"two lengths":        {place: atCosignManifest, answer: registry.Raw([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x")), want: unavailable},
		"a negative length":  {place: atCosignManifest, answer: registry.Raw([]byte("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}")), want: unavailable},
		"a 10 TB length":     {place: atCosignManifest, answer: registry.Raw([]byte("HTTP/1.1 200 OK\r\nContent-Length: 10000000000000\r\n\r\n{}")), want: unavailable},
		"chunks of no sense": {place: atCosignManifest, answer: registry.Raw([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}")), want: unavailable},
		"no content":         {place: atCosignManifest, answer: registry.Respond(204, nil, nil), want: unavailable},
		"not modified":       {place: atCosignManifest, answer: registry.Respond(304, nil, nil), want: unavailable},
		"partial content":    {place: atLayer + "0", answer: registry.Respond(206, nil, []byte("x")), want: fetch},

		// Redirects.
		"HEAD to metadata":  {place: atHead, answer: metadata, want: unavailable},
		"layer to metadata": {place: atLayer + "0", answer: metadata, want: fetch},
		"ping to metadata":  {place: atPing, answer: metadata, want: unavailable},
		"layer to a name inside": {
			place: atLayer + "0", answer: registry.Respond(307, http.Header{"Location": {"http://169.254.169.254.nip.invalid/"}}, nil), want: fetch,
		},

		// Token servers.
		"token server hangs":    {auth: token, place: atToken, answer: registry.Hang, want: unavailable},
		"token server, 10 MB":   {auth: token, place: atToken, answer: registry.Respond(200, nil, make([]byte, 10<<20)), want: unavailable},
		"token server, endless": {auth: token, place: atToken, answer: registry.Endless(200, nil, []byte(`{"token":"`), []byte("x")), want: unavailable},
		"token server, junk":    {auth: token, place: atToken, answer: registry.Respond(200, nil, []byte("\x00\xff<html>")), want: unavailable},
		"token server, nested":  {auth: token, place: atToken, answer: registry.Respond(200, nil, []byte(`{"token":`+deep(30_000)+`}`)), want: unavailable},
		"token with a newline":  {auth: token, place: atToken, answer: registry.Respond(200, nil, []byte(`{"token":"x\r\nX-Y: z"}`)), want: unavailable},
		"token server slow":     {auth: token, place: atToken, answer: slow, want: unavailable},

		// Signatures.
		"a signature of 10 GB": {prepare: signedOnce(nil), place: atCosignManifest, answer: rewriting(func(b []byte) []byte {
			return replacedNumber(b, "size", "10737418240")
		}), want: notJudged("TooManySignatures")},
		"1,000 invalid ones and one valid":          {prepare: manySignatures(1_000), want: notJudged("TooManySignatures")},
		"as many invalid ones as fit and one valid": {prepare: manySignatures(127), want: published()},
		"1,000 invalid bundles and one valid":       {prepare: signedOnce([]string{"bundle"}), place: atReferrers, answer: withCandidates(1_000), want: notJudged("TooManySignatures")},
		"bundles that are not there":                {prepare: signedOnce([]string{"bundle"}), place: atReferrers, answer: withCandidates(3), want: unavailable},
	}
	for name, header := range map[string]string{"..": "a/../../b", "absolute": "/b", "NUL": "a\x00b", "backslash": `a\..\b`, "dot": ".", "nothing": ""} {
		rows["signed layer, a name of "+name] = hostile{prepare: signedTar(t, header), want: unpublishable("ArtifactInvalid")}
	}
	delete(rows, "signed layer, a name of NUL") // A name ends there, in every tar.
	return rows
}

// signedOnce signs a module in these formats; Cosign's for none.
func signedOnce(formats []string) func(*victim) {
	return func(v *victim) {
		v.pushModule("content")
		for _, format := range append(formats, "cosign")[:max(1, len(formats))] {
			v.signIn(format)
		}
	}
}

// manySignatures are n by another key, and one by the right one at the end.
func manySignatures(n int) func(*victim) {
	return func(v *victim) {
		v.pushModule("content")
		wrong, err := signing.NewSignature(v.reference(), newKey(v.t, signing.ECDSAP256))
		if err != nil {
			v.t.Fatal(err)
		}
		right, err := signing.NewSignature(v.reference(), v.key)
		if err != nil {
			v.t.Fatal(err)
		}
		all := make([]signing.Signature, 0, n+1)
		for range n {
			all = append(all, wrong)
		}
		if err := signing.AttachCosign(background, v.reference(), append(all, right)); err != nil {
			v.t.Fatal(err)
		}
	}
}

// withCandidates adds referrers to the registry's own that may be signatures.
func withCandidates(n int) registry.Interceptor {
	more := strings.TrimSuffix(strings.SplitN(string(listed(n, "application/vnd.dev.sigstore.bundle.v0.3+json")), `"manifests":[`, 2)[1], "]}")
	return rewriting(replaced(`"manifests":[`, `"manifests":[`+more+`,`))
}

// replacedNumber changes the first number behind "layers" that has this key.
func replacedNumber(b []byte, key, number string) []byte {
	text := string(b)
	layers := strings.Index(text, `"layers"`)
	at := layers + strings.Index(text[layers:], `"`+key+`":`) + len(key) + 3
	end := at + strings.IndexAny(text[at:], ",}")
	return []byte(text[:at] + number + text[end:])
}

// signedTar is a signed module whose layer has one file of this name.
func signedTar(t *testing.T, name string) func(*victim) {
	b := rawTar(t, name)
	return func(v *victim) {
		v.pushImage(module.RawOptions{
			ConfigMediaType: module.FluxConfigMediaType, Config: []byte(`{}`),
			Layers: []module.Layer{{MediaType: module.FluxContentMediaType, Content: zipped(b)}}, Edit: func(*v1.Manifest) {},
		})
		v.signIn("cosign")
	}
}

// rawTar is an archive of one empty file, whose name a writer might refuse.
func rawTar(t *testing.T, name string) []byte {
	t.Helper()
	b := make([]byte, 3*512)
	copy(b, name)
	copy(b[100:], "0000644\x00")
	copy(b[108:], "0000000\x000000000\x0000000000000\x0000000000000\x00        0")
	copy(b[257:], "ustar\x0000")
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// TestHostileRegistries has a registry for each way to be hostile, and a
// ModuleSource of it: each is answered within its timeout with the reason that
// is due, nothing is published but what is whole, and the others are none the
// worse.
func TestHostileRegistries(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	rows := hostileRows(t)
	victims := map[string]*victim{}
	for name, row := range rows {
		server, err := registry.Referrers(registry.Options{Auth: row.auth})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Close() })
		same := *w
		same.registry = server
		v := &victim{world: &same, name: "app"}
		if row.prepare == nil {
			row.prepare = signedOnce(nil)
		}
		row.prepare(v)
		if row.answer != nil {
			server.Intercept(v.on(row.place, row.answer))
		}
		server.Reset()
		victims[name] = v
	}
	var peak atomic.Uint64
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), m.HeapInuse))
			}
		}
	}()
	names := map[string]string{}
	for name, row := range rows {
		v := victims[name]
		names[name] = fmt.Sprintf("hostile-%d", len(names))
		w.apply(names[name], v.spec("app", func(s *v1alpha1.ModuleSourceSpec) {
			// Only who is to run out of time has little of it.
			s.Version, s.Timeout = "1.0.0", metav1.Duration{Duration: 2 * time.Minute}
			if row.want["FetchFailed"] == "True/RegistryUnavailable" {
				s.Timeout = metav1.Duration{Duration: hangs}
			}
			if row.spec != nil {
				row.spec(s)
			}
		}))
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			w := victims[name].in(t)
			obj := w.settled(names[name])
			if diff := cmp.Diff(row.want, conditionsOf(obj)); diff != "" {
				t.Errorf("conditions (-expected +found):\n%s\n%s", diff, describe(obj))
			}
			for _, c := range obj.Status.Conditions {
				w.checkMessage(c)
			}
			if ready := is(obj, "Ready") == "True/SignatureVerified"; ready != (obj.Status.Artifact != nil) {
				t.Errorf("expected nothing else to be published, found %+v", obj.Status.Artifact)
			}
			files, err := filepath.Glob(filepath.Join(w.storage, "modulesource", w.namespace, names[name], "*"))
			if err != nil || (len(files) != 0) != (obj.Status.Artifact != nil) {
				t.Errorf("expected files only of what is published, found %v, %v", files, err)
			}
		})
	}
	t.Logf("%d registries: at most %d MiB of heap in use, with themselves", len(rows), peak.Load()>>20)
}

// What TLS refuses, and a name that does not resolve, is a registry that is not
// there.
func TestHostileConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("expected no request")
	}))
	server.Config.ErrorLog = nil
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	for name, row := range map[string]struct{ host, says string }{
		"unknown-authority": {strings.TrimPrefix(server.URL, "https://"), "signed by an unknown authority"},
		"no-such-host":      {"registry.invalid", ""},
		"metadata":          {"169.254.169.254", "--dial-allow"},
		"wire-server":       {"168.63.129.16:8080", "--dial-allow"},
	} {
		w.apply(name, w.spec("app", func(s *v1alpha1.ModuleSourceSpec) {
			s.URL, s.Version, s.Insecure = "oci://"+row.host+"/app", "1.0.0", false
			s.Timeout = metav1.Duration{Duration: hangs}
		}))
		obj := w.settled(name)
		if diff := cmp.Diff(unreachable("RegistryUnavailable"), conditionsOf(obj)); diff != "" {
			t.Errorf("%s: conditions (-expected +found):\n%s", name, diff)
		}
		if text := message(obj, "Ready"); !strings.Contains(text, row.says) {
			t.Errorf("%s: expected %q, found %q", name, row.says, text)
		}
	}
	if files, _ := os.ReadDir(filepath.Join(w.storage, "modulesource", w.namespace)); len(files) != 0 {
		t.Errorf("expected nothing to be published, found %v", files)
	}
}
