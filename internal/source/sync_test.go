package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.uber.org/goleak"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/artifact"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/module"
	testregistry "github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction(testregistry.DistributionGoroutine))
}

// bench is a registry, a store, and what is between them.
type bench struct {
	t      *testing.T
	server *testregistry.Server
	syncer *Syncer
	root   string
	key    *signing.Key

	mu    sync.Mutex
	steps []Step
}

func newBench(t *testing.T) *bench {
	t.Helper()
	server, err := testregistry.Referrers(testregistry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	key, err := signing.NewKey(signing.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, server: server, root: t.TempDir(), key: key}
	store, err := artifact.NewStore(artifact.Options{Root: b.root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	pool := registry.NewPool(registry.Options{UserAgent: "assay-test", Now: time.Now, DialAllow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(pool.Close)
	b.syncer = &Syncer{Pool: pool, Store: store, MaxLayerBytes: 1 << 20, Now: time.Now, Begin: atEnd(func(step Step, took time.Duration, _ string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.steps = append(b.steps, step); took < 0 {
			t.Errorf("%s took %s", step, took)
		}
	})}
	return b
}

// atEnd is a Syncer's Begin that is told of the end of each step.
func atEnd(told func(step Step, took time.Duration, reason string)) func(context.Context, Step) (context.Context, func(time.Duration, string)) {
	return func(ctx context.Context, step Step) (context.Context, func(time.Duration, string)) {
		return ctx, func(took time.Duration, reason string) { told(step, took, reason) }
	}
}

// push pushes a module and signs it with the bench's key.
func (b *bench) push(tag string, o module.Options, sign bool) string {
	b.t.Helper()
	image, err := module.New(o)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.pushImage(tag, image, sign)
}

func (b *bench) pushImage(tag string, image v1.Image, sign bool) string {
	b.t.Helper()
	digest, err := module.Push(b.t.Context(), b.server.Host()+"/app:"+tag, image)
	if err != nil {
		b.t.Fatal(err)
	}
	if sign {
		if err := signing.SignCosign(b.t.Context(), b.server.Host()+"/app@"+digest, b.key); err != nil {
			b.t.Fatal(err)
		}
	}
	b.server.Reset()
	return digest
}

func (b *bench) request(version, digest string) Request {
	b.t.Helper()
	repo, err := registry.ParseRepository("oci://"+b.server.Host()+"/app", true)
	if err != nil {
		b.t.Fatal(err)
	}
	selector, err := registry.NewSelector(version, "", digest, "")
	if err != nil {
		b.t.Fatal(err)
	}
	keys, err := verify.ParseKeys(b.key.PublicPEM())
	if err != nil {
		b.t.Fatal(err)
	}
	return Request{
		Owner: artifact.Owner{Namespace: "ns", Name: "app"}, Repository: repo, Selector: selector,
		Policy: verify.Policy{Threshold: 1, Authorities: []verify.Authority{{Name: "key", Keys: keys, TransparencyLog: verify.LogIgnore}}},
	}
}

// asError is how callers read an error of this package.
func asError(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("expected an *Error, found %T: %v", err, err)
	}
	return e
}

func TestSync(t *testing.T) {
	b := newBench(t)
	digest := b.push("1.0.0", module.Options{Version: "1.0.0"}, true)
	o, err := b.syncer.Sync(t.Context(), b.request("1.0.0", ""))
	if err != nil {
		t.Fatal(err)
	}
	revision := registry.Revision{Version: "1.0.0", Digest: digest}
	if o.Revision != revision || o.Unchanged || o.Verified.Digest() != digest || o.Published.Digest == "" || o.Annotations["org.opencontainers.image.version"] != "1.0.0" {
		t.Errorf("found %+v", o)
	}
	if !b.syncer.Store.Holds(artifact.Owner{Namespace: "ns", Name: "app"}, o.Published.Path, o.Published.Digest) {
		t.Error("it is not in storage")
	}
	if diff := gocmp.Diff([]Step{StepResolve, StepSignatures, StepVerify, StepFetch, StepPublish}, b.steps); diff != "" {
		t.Errorf("steps (-expected +found):\n%s", diff)
	}
	b.server.Reset()

	again := b.request("1.0.0", "")
	again.Current = revision
	unchanged, err := b.syncer.Sync(t.Context(), again)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(Outcome{Revision: revision, Unchanged: true}, unchanged, gocmp.AllowUnexported(verify.Verified{})); diff != "" {
		t.Errorf("unchanged (-expected +found):\n%s", diff)
	}
	if diff := gocmp.Diff(map[string]int{"HEAD manifests": 1}, b.server.Counts()); diff != "" {
		t.Errorf("requests (-expected +found):\n%s", diff)
	}

	b.server.Reset()
	rebuilt, err := b.syncer.Rebuild(t.Context(), b.request("1.0.0", ""), revision)
	if err != nil || rebuilt.Published != o.Published {
		t.Errorf("expected the same archive, found %+v, %v", rebuilt.Published, err)
	}
	for _, r := range b.server.Requests() {
		if strings.HasSuffix(r.Path, "/1.0.0") {
			t.Errorf("expected a rebuild to ask by digest only, found %v", r)
		}
	}
}

// A repository that does not have the digest any more is no reason to say that
// it is not signed.
func TestRebuildOfWhatIsGone(t *testing.T) {
	b := newBench(t)
	b.push("1.0.0", module.Options{Version: "1.0.0"}, true)
	gone := registry.Revision{Version: "1.0.0", Digest: "sha256:" + strings.Repeat("ab", 32)}
	o, err := b.syncer.Rebuild(t.Context(), b.request("1.0.0", ""), gone)
	if e := asError(t, err); e.Kind != Transient || e.Reason != v1alpha1.ReasonVersionNotFound || e.Step != StepResolve {
		t.Errorf("found %+v", e)
	}
	if o.Published != (artifact.Published{}) || !o.Verified.IsZero() {
		t.Errorf("found %+v", o)
	}
}

// A pin that is published costs nothing; another revision under the same
// digest is looked at again.
func TestSyncOfAPin(t *testing.T) {
	b := newBench(t)
	digest := b.push("1.0.0", module.Options{Version: "1.0.0"}, true)
	request := b.request("", digest)
	if o, err := b.syncer.Sync(t.Context(), request); err != nil || o.Revision != (registry.Revision{Digest: digest}) || o.Unchanged {
		t.Fatalf("found %+v, %v", o, err)
	}
	b.server.Reset()
	request.Current = registry.Revision{Digest: digest}
	if o, err := b.syncer.Sync(t.Context(), request); err != nil || !o.Unchanged || len(b.server.Requests()) != 0 {
		t.Errorf("expected no request, found %d, %+v, %v", len(b.server.Requests()), o, err)
	}
	request.Current = registry.Revision{Version: "1.0.0", Digest: digest}
	if o, err := b.syncer.Sync(t.Context(), request); err != nil || o.Unchanged || o.Published.Digest == "" {
		t.Errorf("found %+v, %v", o, err)
	}
}

func TestPinOfATag(t *testing.T) {
	b := newBench(t)
	digest := b.push("1.0.0", module.Options{Version: "1.0.0"}, true)
	if o, err := b.syncer.Sync(t.Context(), b.request("1.0.0", digest)); err != nil || o.Published.Digest == "" {
		t.Fatalf("found %+v, %v", o, err)
	}
	b.server.Reset()
	other := "sha256:" + strings.Repeat("ab", 32)
	o, err := b.syncer.Sync(t.Context(), b.request("1.0.0", other))
	e := asError(t, err)
	if e.Step != StepResolve || e.Kind != Refused || e.Reason != v1alpha1.ReasonDigestMismatch || !strings.Contains(e.Message, other) || !strings.Contains(e.Message, digest) {
		t.Errorf("found %+v", e)
	}
	if o.Published != (artifact.Published{}) || !o.Verified.IsZero() || o.Revision.Digest != digest {
		t.Errorf("found %+v", o)
	}
	if diff := gocmp.Diff(map[string]int{"HEAD manifests": 1}, b.server.Counts()); diff != "" {
		t.Errorf("expected nothing to be asked after the mismatch (-expected +found):\n%s", diff)
	}
}

// nth answers the n-th request of a kind with a status, and passes all others.
func nth(n int, method, kind string, code int) testregistry.Interceptor {
	var mu sync.Mutex
	seen := 0
	return testregistry.On(method, kind, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		mu.Lock()
		seen++
		hit := seen == n
		mu.Unlock()
		if hit {
			w.WriteHeader(code)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Whatever fails, wherever: nothing is published, and what was known before is
// kept.
func TestNothingIsPublishedWithAnError(t *testing.T) {
	links := map[string]string{"timoni.cue": "x"}
	tests := map[string]struct {
		unsigned  bool
		intercept testregistry.Interceptor
		options   module.Options
		tag       string
		raw       *module.RawOptions
		edit      func(*bench, *Request)
		timeout   time.Duration
		step      Step
		kind      Kind
		reason    string
		verified  bool
		resolved  bool
	}{
		"resolve: refused by the registry":   {intercept: nth(1, "HEAD", testregistry.KindManifests, 403), step: StepResolve, reason: v1alpha1.ReasonAuthenticationFailed},
		"resolve: rate limited":              {intercept: nth(1, "HEAD", testregistry.KindManifests, 429), step: StepResolve, reason: v1alpha1.ReasonRateLimited},
		"resolve: not found":                 {intercept: nth(1, "HEAD", testregistry.KindManifests, 404), step: StepResolve, reason: v1alpha1.ReasonVersionNotFound},
		"signatures: the manifest":           {intercept: nth(1, "GET", testregistry.KindManifests, 500), step: StepSignatures, reason: v1alpha1.ReasonRegistryUnavailable, resolved: true},
		"signatures: the referrers":          {intercept: nth(1, "GET", testregistry.KindReferrers, 403), step: StepSignatures, reason: v1alpha1.ReasonAuthenticationFailed, resolved: true},
		"signatures: the payload":            {intercept: nth(1, "GET", testregistry.KindBlobs, 429), step: StepSignatures, reason: v1alpha1.ReasonRateLimited, resolved: true},
		"signatures: the payload is missing": {intercept: nth(1, "GET", testregistry.KindBlobs, 404), step: StepSignatures, reason: v1alpha1.ReasonRegistryUnavailable, resolved: true},
		"verify: unsigned":                   {unsigned: true, step: StepVerify, kind: Refused, reason: v1alpha1.ReasonNoSignature, resolved: true},
		"verify: no policy": {
			edit: func(_ *bench, r *Request) { r.Policy = verify.Policy{} },
			step: StepVerify, kind: Invalid, reason: v1alpha1.ReasonInvalidTrust, resolved: true,
		},
		"verify: another key": {
			edit: func(b *bench, r *Request) {
				other, err := signing.NewKey(signing.Ed25519)
				if err != nil {
					b.t.Fatal(err)
				}
				if r.Policy.Authorities[0].Keys, err = verify.ParseKeys(other.PublicPEM()); err != nil {
					b.t.Fatal(err)
				}
			},
			step: StepVerify, kind: Refused, reason: v1alpha1.ReasonKeyMismatch, resolved: true,
		},
		"fetch: no temporary folder": {
			edit: func(b *bench, _ *Request) {
				if err := os.RemoveAll(b.root); err != nil {
					b.t.Fatal(err)
				}
			},
			step: StepFetch, reason: v1alpha1.ReasonStorageFailed, verified: true, resolved: true,
		},
		"fetch: the manifest":         {intercept: nth(2, "GET", testregistry.KindManifests, 500), step: StepFetch, reason: v1alpha1.ReasonRegistryUnavailable, verified: true, resolved: true},
		"fetch: the manifest is gone": {intercept: nth(2, "GET", testregistry.KindManifests, 404), step: StepFetch, reason: v1alpha1.ReasonVersionNotFound, verified: true, resolved: true},
		"fetch: the second layer":     {intercept: nth(3, "GET", testregistry.KindBlobs, 500), step: StepFetch, reason: v1alpha1.ReasonRegistryUnavailable, verified: true, resolved: true},
		"fetch: a version of another": {options: module.Options{Version: "1.0.0"}, tag: "6.9.9", step: StepFetch, kind: Refused, reason: v1alpha1.ReasonVersionMismatch, verified: true, resolved: true},
		"fetch: too large": {
			edit: func(b *bench, _ *Request) { b.syncer.MaxLayerBytes = 100 },
			step: StepFetch, kind: Unpublishable, reason: v1alpha1.ReasonArtifactTooLarge, verified: true, resolved: true,
		},
		"fetch: no layer": {
			raw:  &module.RawOptions{ConfigMediaType: "application/vnd.oci.image.config.v1+json", Config: []byte("{}")},
			step: StepFetch, kind: Unpublishable, reason: v1alpha1.ReasonArtifactInvalid, verified: true, resolved: true,
		},
		"publish: no tar": {
			raw: &module.RawOptions{ConfigMediaType: "application/vnd.oci.image.config.v1+json", Config: []byte("{}"),
				Layers: []module.Layer{{MediaType: module.FluxContentMediaType, Content: []byte("no tar")}}},
			step: StepPublish, kind: Unpublishable, reason: v1alpha1.ReasonArtifactInvalid, verified: true, resolved: true,
		},
		"publish: too large": {
			options: module.Options{Version: "1.0.0", Files: map[string]string{"a": strings.Repeat("\x00", 8<<20)}}, tag: "1.0.0",
			step: StepPublish, kind: Unpublishable, reason: v1alpha1.ReasonArtifactTooLarge, verified: true, resolved: true,
		},
		"publish: the disk": {
			edit: func(b *bench, _ *Request) {
				if err := os.RemoveAll(b.root + "/modulesource"); err != nil {
					b.t.Fatal(err)
				}
				if err := os.WriteFile(b.root+"/modulesource", nil, 0o600); err != nil {
					b.t.Fatal(err)
				}
			},
			step: StepPublish, reason: v1alpha1.ReasonStorageFailed, verified: true, resolved: true,
		},
		"resolve: no answer in time": {intercept: testregistry.Hang, timeout: 200 * time.Millisecond, step: StepResolve, reason: v1alpha1.ReasonRegistryUnavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			if tt.tag == "" {
				tt.tag, tt.options = "1.0.0", module.Options{Version: "1.0.0", Files: links}
			}
			var digest string
			if tt.raw != nil {
				image, err := module.Raw(*tt.raw)
				if err != nil {
					t.Fatal(err)
				}
				digest = b.pushImage(tt.tag, image, !tt.unsigned)
			} else {
				digest = b.push(tt.tag, tt.options, !tt.unsigned)
			}
			request := b.request(tt.tag, "")
			if tt.edit != nil {
				tt.edit(b, &request)
			}
			b.server.Intercept(tt.intercept)
			ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(tt.timeout, time.Minute))
			defer cancel()
			o, err := b.syncer.Sync(ctx, request)
			if o.Published != (artifact.Published{}) {
				t.Errorf("%+v is published in spite of %v", o.Published, err)
			}
			e := asError(t, err)
			if e.Step != tt.step || e.Kind != tt.kind || e.Reason != tt.reason {
				t.Errorf("expected step %s, kind %d, reason %s; found %+v", tt.step, tt.kind, tt.reason, e)
			}
			if !o.Verified.IsZero() != tt.verified {
				t.Errorf("expected a verdict: %t, found %+v", tt.verified, o.Verified)
			}
			want := registry.Revision{}
			if tt.resolved {
				want = registry.Revision{Version: tt.tag, Digest: digest}
			}
			if o.Revision != want || o.Unchanged || o.Annotations != nil {
				t.Errorf("expected the revision %s alone, found %+v", want, o)
			}
			if strings.Contains(e.Message, b.root) {
				t.Errorf("%q holds a path", e.Message)
			}
			if published := archives(t, b.root); len(published) != 0 {
				t.Errorf("in storage: %v", published)
			}
		})
	}
}

// archives lists the archives in a store, whatever their owner.
func archives(t *testing.T, root string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".tar.gz") {
			found = append(found, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return found
}

func TestJudge(t *testing.T) {
	b := newBench(t)
	digest := "sha256:" + strings.Repeat("ab", 32)
	bundle, err := signing.NewBundle(signing.Statement{Digest: digest}, b.key)
	if err != nil {
		t.Fatal(err)
	}
	kept := []verify.Signature{{Format: verify.FormatBundle, Payload: bundle}}
	policy := b.request("1.0.0", "").Policy
	if v, err := b.syncer.Judge(t.Context(), policy, digest, kept); err != nil || v.Digest() != digest {
		t.Errorf("found %+v, %v", v, err)
	}
	v, err := b.syncer.Judge(t.Context(), policy, digest, slices.Repeat(kept, verify.MaxSignatures+1))
	if e := asError(t, err); !v.IsZero() || e.Kind != Transient || e.Reason != v1alpha1.ReasonTooManySignatures || e.Step != StepVerify {
		t.Errorf("found %+v", e)
	}
	if n := len(b.server.Requests()); n != 0 {
		t.Errorf("expected nobody to be asked, found %d requests", n)
	}
	b.syncer.Begin = nil
	if _, err := b.syncer.Judge(t.Context(), policy, digest, kept); err != nil {
		t.Error(err)
	}
}

// A verdict on what is not published yet ends with the attempt, and is then none;
// one on what is published does not.
func TestVerdictEndsWithTheAttempt(t *testing.T) {
	// The clock is asked at the start and the end of each step: the attempt ends
	// with one of these.
	const endOfSignatures, startOfVerify = 4, 5
	tests := map[string]struct {
		ends   int
		step   Step
		reason string
		says   string
	}{
		"while it is judged": {startOfVerify, StepVerify, v1alpha1.ReasonTooManySignatures, "the verdict on 1 signature was stopped: nothing was judged: it did not end within spec.timeout"},
		"before":             {endOfSignatures, StepSignatures, v1alpha1.ReasonRegistryUnavailable, "its signatures came when spec.timeout had ended"},
	}
	for name, tt := range tests {
		for _, rebuild := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, rebuilt %t", name, rebuild), func(t *testing.T) {
				b := newBench(t)
				digest := b.push("1.0.0", module.Options{Version: "1.0.0"}, true)
				request := b.request("1.0.0", "")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				asked := 0
				b.syncer.Now = func() time.Time {
					if asked++; asked == tt.ends {
						cancel()
					}
					return time.Time{}
				}
				revision := registry.Revision{Version: "1.0.0", Digest: digest}
				run := func() (Outcome, error) { return b.syncer.Sync(ctx, request) }
				if rebuild {
					run = func() (Outcome, error) { return b.syncer.Rebuild(ctx, request, revision) }
				}
				o, err := run()
				if e := asError(t, err); e.Step != tt.step || e.Kind != Transient || e.Reason != tt.reason || !strings.Contains(e.Message, tt.says) {
					t.Errorf("found %+v", e)
				}
				if !o.Verified.IsZero() || o.Published != (artifact.Published{}) || o.Revision != revision || len(archives(t, b.root)) != 0 {
					t.Errorf("found %+v", o)
				}
			})
		}
	}
}
