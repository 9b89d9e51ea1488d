package signing_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/signing"
	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/module"
	testregistry "github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/sigstore"
	"github.com/assay-dev/assay/test/sigstore/server"
)

// who has the tokens.
var who = sigstore.GitHub("example-org/app", "release.yml", "refs/tags/v1.0.0")

// world is a registry with a module, and a Sigstore.
type world struct {
	registry *testregistry.Server
	digest   name.Digest
	sigstore *sigstore.Sigstore
	services *server.Servers
	root     *verify.TrustedRoot
}

func newWorld(t *testing.T, hasReferrersAPI bool) *world {
	t.Helper()
	start := testregistry.Distribution
	if hasReferrersAPI {
		start = testregistry.Referrers
	}
	w := &world{}
	var err error
	if w.registry, err = start(testregistry.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.registry.Close() })
	if w.sigstore, err = sigstore.New(); err != nil {
		t.Fatal(err)
	}
	w.services = server.Start(w.sigstore)
	t.Cleanup(w.services.Close)
	if w.root, err = verify.ParseTrustedRoot(w.sigstore.TrustedRoot()); err != nil {
		t.Fatal(err)
	}
	w.digest = w.push(t, "app")
	return w
}

// push pushes a module like no other, and returns what is to be signed.
func (w *world) push(t *testing.T, repository string) name.Digest {
	t.Helper()
	image, err := module.New(module.Options{Version: "1.0.0", Source: "https://example.com/" + repository})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := module.Push(t.Context(), w.registry.Host()+"/"+repository+":1.0.0", image)
	if err != nil {
		t.Fatal(err)
	}
	target, err := name.NewDigest(w.registry.Host() + "/" + repository + "@" + digest)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// options sign in a format with the key, or keyless.
func (w *world) options(format verify.Format, key *signing.Key) signing.Options {
	o := signing.Options{Format: format, Key: key, UserAgent: "assay-test", Now: time.Now}
	if key == nil {
		o.Services.Fulcio = w.services.URL(server.Fulcio)
		o.Token = func(context.Context) (string, error) { return server.Token(who), nil }
	}
	return o
}

// witness is a set of logs and authorities.
type witness struct {
	log   uint32
	stamp bool
}

func (w *world) witnessed(o signing.Options, by witness) signing.Options {
	switch by.log {
	case 1:
		o.Services.Logs = []signing.Log{{URL: w.services.URL(server.Rekor1), Version: 1}}
	case 2:
		o.Services.Logs = []signing.Log{{URL: w.services.URL(server.Rekor2), Version: 2}}
	}
	if by.stamp {
		o.Services.TimestampAuthorities = []string{w.services.URL(server.TSA)}
	}
	return o
}

// attached are the signatures that the registry has of a digest.
func (w *world) attached(t *testing.T, digest name.Digest) []verify.Signature {
	t.Helper()
	pool := registry.NewPool(registry.Options{UserAgent: "assay-test", Now: time.Now, DialAllow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(pool.Close)
	repository, err := registry.ParseRepository("oci://"+digest.Context().Name(), true)
	if err != nil {
		t.Fatal(err)
	}
	client := pool.Client(repository, registry.Credentials{})
	defer client.Close()
	signatures, err := client.Signatures(t.Context(), digest.DigestStr())
	if err != nil {
		t.Fatal(err)
	}
	return signatures
}

// sign signs and attaches.
func sign(t *testing.T, o signing.Options, digest name.Digest) (signing.Result, error) {
	t.Helper()
	signed, err := signing.Sign(t.Context(), o, digest)
	if err != nil {
		return signing.Result{}, err
	}
	return signed.Result(), signed.Attach(t.Context())
}

// trusting is the policy of whoever trusts one authority.
func trusting(a verify.Authority) verify.Policy {
	a.Name = "release"
	if a.TransparencyLog == "" {
		a.TransparencyLog = verify.LogIgnore
	}
	return verify.Policy{Threshold: 1, Authorities: []verify.Authority{a}}
}

func keys(t *testing.T, key *signing.Key) []verify.Key {
	t.Helper()
	public, err := key.PublicPEM()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := verify.ParseKeys(public)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func identities(t *testing.T, issuer, subject string) []verify.Identity {
	t.Helper()
	identity, err := verify.NewIdentity(verify.IdentitySpec{Issuer: issuer, Subject: subject})
	if err != nil {
		t.Fatal(err)
	}
	return []verify.Identity{identity}
}

// reason is why signatures are refused; "" where they are not.
func reason(t *testing.T, policy verify.Policy, digest name.Digest, signatures []verify.Signature) verify.Reason {
	t.Helper()
	_, err := verify.Verify(policy, digest.DigestStr(), signatures)
	if err == nil {
		return ""
	}
	var refusal *verify.Refusal
	if !errors.As(err, &refusal) {
		t.Fatal(err)
	}
	return refusal.Reason
}
