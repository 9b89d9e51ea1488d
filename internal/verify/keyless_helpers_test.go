package verify_test

import (
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/sigstore"
)

// instances are Sigstores of the tests' own, made once: ours is the trusted one.
var instances = sync.OnceValues(func() ([2]*sigstore.Sigstore, error) {
	ours, err := sigstore.New()
	if err != nil {
		return [2]*sigstore.Sigstore{}, err
	}
	theirs, err := sigstore.New()
	return [2]*sigstore.Sigstore{ours, theirs}, err
})

func ours(t testing.TB) *sigstore.Sigstore   { return instance(t, 0) }
func theirs(t testing.TB) *sigstore.Sigstore { return instance(t, 1) }

func instance(t testing.TB, i int) *sigstore.Sigstore {
	t.Helper()
	all, err := instances()
	if err != nil {
		t.Fatal(err)
	}
	return all[i]
}

// release is the identity that the tests trust.
var release = sigstore.GitHub("example-org/app", "release.yml", "refs/tags/v1.0.0")

func exactly(id sigstore.Identity) verify.IdentitySpec {
	return verify.IdentitySpec{Issuer: id.Issuer, Subject: id.Subject}
}

// roots are trusted roots, parsed once each: a policy's hash is that of the
// content.
func trustedRoot(t testing.TB, roots ...sigstore.Roots) *verify.TrustedRoot {
	t.Helper()
	raw, err := sigstore.TrustedRoot(roots...)
	if err != nil {
		t.Fatal(err)
	}
	root, err := verify.ParseTrustedRoot(raw)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// attempt is a signature by a certificate, and the policy that it is judged by.
// What a test changes in it is what is wrong, or is right in another way.
type attempt struct {
	identity    sigstore.Identity
	certificate sigstore.CertificateOptions
	issuedBy    *sigstore.Sigstore
	request     sigstore.Request
	edit        func(t testing.TB, s *sigstore.Signed)

	spec  verify.IdentitySpec
	mode  verify.LogMode
	roots sigstore.Roots
}

// rightAttempt is one that is accepted.
func rightAttempt(t testing.TB, format sigstore.Format) *attempt {
	t.Helper()
	return &attempt{
		identity: release,
		issuedBy: ours(t),
		request:  sigstore.Request{Digest: artifact, Format: format, Log: sigstore.Rekor1},
		spec:     exactly(release),
		mode:     verify.LogRequire,
		roots:    ours(t).Roots(),
	}
}

func (a *attempt) signer(t testing.TB) *sigstore.Signer {
	t.Helper()
	signer, err := a.issuedBy.Issue(a.identity, a.certificate)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func (a *attempt) sign(t testing.TB) *sigstore.Signed {
	t.Helper()
	signed, err := ours(t).Sign(a.signer(t), a.request)
	if err != nil {
		t.Fatal(err)
	}
	if a.edit != nil {
		a.edit(t, signed)
	}
	return signed
}

func (a *attempt) policy(t testing.TB) verify.Policy {
	t.Helper()
	return keyless(t, trustedRoot(t, a.roots), a.mode, a.spec)
}

// signature is what the registry has of a signature.
func signatureOf(t testing.TB, s *sigstore.Signed) verify.Signature {
	t.Helper()
	if s.Format == sigstore.FormatBundle {
		raw, err := s.Bundle()
		if err != nil {
			t.Fatal(err)
		}
		return verify.Signature{Format: verify.FormatBundle, Payload: raw}
	}
	made, err := s.Cosign()
	if err != nil {
		t.Fatal(err)
	}
	annotations := map[string]string{signatureAnnotation: made.Base64}
	maps.Copy(annotations, made.Annotations)
	return cosignOf(t, made.Payload, annotations)
}

var bothFormats = []sigstore.Format{sigstore.FormatCosign, sigstore.FormatBundle}

// another signs another time with the same certificate options: the source of
// what is spliced.
func (a *attempt) another(t testing.TB) *sigstore.Signed {
	t.Helper()
	b := *a
	b.edit = nil
	return b.sign(t)
}

func hours(n int) time.Time { return time.Now().Add(time.Duration(n) * time.Hour) }

func withExtensions(spec verify.IdentitySpec, pairs ...string) verify.IdentitySpec {
	spec.Extensions = slices.Clone(spec.Extensions)
	for i := 0; i < len(pairs); i += 2 {
		spec.Extensions = append(spec.Extensions, verify.Extension{Name: pairs[i], Value: pairs[i+1]})
	}
	return spec
}
