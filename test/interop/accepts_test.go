package interop

import (
	"slices"
	"testing"

	"github.com/assay-dev/assay/test/signing"
	"github.com/assay-dev/assay/test/sigstore"
	"github.com/assay-dev/assay/test/sigstored"
)

// checks are the arguments by which Cosign verifies what was pushed, under the
// stack's root.
func checks(p pushed, flags ...string) []string {
	return slices.Concat([]string{"--allow-http-registry", "--trusted-root", stack.TrustedRoot}, flags, []string{p.reference()})
}

// byIdentity are the flags that ask for an identity.
func byIdentity(who sigstore.Identity) []string {
	return []string{"--certificate-identity", who.Subject, "--certificate-oidc-issuer", who.Issuer}
}

// wantCosign wants both releases of Cosign to accept what was pushed with these
// flags, and to refuse it with each of the others. Where a timestamp tells the
// time, version 2 has to be told; told so, it wants one.
func wantCosign(t *testing.T, p pushed, stamped bool, flags []string, others ...[]string) {
	t.Helper()
	for _, release := range releases {
		var more []string
		if stamped && release == sigstored.Cosign2 {
			more = []string{"--use-signed-timestamps"}
		}
		cosign(t, release, "verify", checks(p, slices.Concat(more, flags)...)...)
		for _, other := range others {
			if out, err := stack.Cosign(t.Context(), release, "verify", checks(p, slices.Concat(more, other)...)...); err == nil {
				t.Errorf("expected %s to refuse it with %q, and it accepted: %s", release, other, out)
			}
		}
	}
}

// What the rest of the tests sign with, and hold to be right, Cosign accepts too.
func TestCosignAcceptsTestSignatures(t *testing.T) {
	needs(t)
	who := sigstore.GitHub("example-org/app", "release.yml", "refs/tags/v1.0.0")
	other := who
	other.Subject = "x" + who.Subject
	elsewhere := who
	elsewhere.Issuer = who.Issuer + "/x"
	for name, request := range map[string]sigstore.Request{
		"cosign":                       {Format: sigstore.FormatCosign, Log: sigstore.Rekor1},
		"cosign with a timestamp":      {Format: sigstore.FormatCosign, Log: sigstore.Rekor1, Timestamp: true},
		"bundle, Rekor v1":             {Format: sigstore.FormatBundle, Log: sigstore.Rekor1},
		"bundle, Rekor v1 and a stamp": {Format: sigstore.FormatBundle, Log: sigstore.Rekor1, Timestamp: true},
		"bundle, Rekor v2":             {Format: sigstore.FormatBundle, Log: sigstore.Rekor2, Timestamp: true},
	} {
		for kind := range registries {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				p := push(t, kind)
				signer, err := stack.Sigstore.Issue(who, sigstore.CertificateOptions{})
				if err != nil {
					t.Fatal(err)
				}
				p.signInMemory(t, signer, request)
				wantCosign(t, p, request.Timestamp, byIdentity(who), byIdentity(other), byIdentity(elsewhere))
			})
		}
	}
}

// signInMemory signs as the rest of the tests do.
func (p pushed) signInMemory(t *testing.T, signer *sigstore.Signer, request sigstore.Request) {
	t.Helper()
	request.Digest, request.Repository = p.digest, p.registry.Host()+"/app"
	signed, err := stack.Sigstore.Sign(signer, request)
	if err != nil {
		t.Fatal(err)
	}
	if err := signed.Attach(t.Context(), p.reference()); err != nil {
		t.Fatal(err)
	}
}

// The same with a key.
func TestCosignAcceptsTestKeys(t *testing.T) {
	needs(t)
	key, err := signing.NewKey(signing.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	other, err := signing.NewKey(signing.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	public, stranger := publicFile(t, key.PublicPEM()), publicFile(t, other.PublicPEM())
	for name, request := range map[string]sigstore.Request{
		"cosign":                {Format: sigstore.FormatCosign, Log: sigstore.Rekor1},
		"cosign without a log":  {Format: sigstore.FormatCosign},
		"bundle, Rekor v1":      {Format: sigstore.FormatBundle, Log: sigstore.Rekor1},
		"bundle, Rekor v2":      {Format: sigstore.FormatBundle, Log: sigstore.Rekor2, Timestamp: true},
		"bundle, without a log": {Format: sigstore.FormatBundle},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := push(t, "referrers")
			p.signInMemory(t, sigstore.KeySigner(key), request)
			var more []string
			if request.Log == sigstore.NoLog {
				more = []string{"--insecure-ignore-tlog"}
			}
			wantCosign(t, p, false, append(more, "--key", public), append(more, "--key", stranger))
		})
	}
}
