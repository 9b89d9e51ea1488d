package sigstore_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/cosign/v2/pkg/cosign"

	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
	"github.com/assay-dev/assay/test/sigstore"
)

// TestRightSignatures makes every kind of right signature, and has the library
// of its format accept it.
func TestRightSignatures(t *testing.T) {
	s := newSigstore(t)
	material := trust(t, s.TrustedRoot())
	certificate := issue(t, s, sigstore.CertificateOptions{})
	tests := map[string]struct {
		request sigstore.Request
		policy  policy
	}{
		"Rekor v1":               {sigstore.Request{Log: sigstore.Rekor1}, policy{log: true, observer: true}},
		"Rekor v1 and timestamp": {sigstore.Request{Log: sigstore.Rekor1, Timestamp: true}, policy{log: true, timestamp: true, observer: true}},
		"Rekor v2 and timestamp": {sigstore.Request{Log: sigstore.Rekor2, Timestamp: true}, policy{log: true, timestamp: true}},
		"timestamp only":         {sigstore.Request{Timestamp: true}, policy{timestamp: true}},
		"promise only":           {sigstore.Request{Log: sigstore.Rekor1, PromiseOnly: true}, policy{log: true, observer: true}},
	}
	for name, test := range tests {
		for _, format := range []sigstore.Format{sigstore.FormatCosign, sigstore.FormatBundle} {
			t.Run(string(format)+", "+name, func(t *testing.T) {
				if format == sigstore.FormatCosign && test.request.Log == sigstore.Rekor2 {
					t.Skip("the v2 format has no entries of Rekor v2")
				}
				test.request.Format = format
				signed := sign(t, s, certificate, test.request)
				if format == sigstore.FormatBundle && test.request.PromiseOnly {
					signed.BundleVersion = sigstore.Bundle01
				}
				if err := test.policy.verify(t, signed, material, nil); err != nil {
					t.Errorf("not accepted: %v", err)
				}
			})
		}
	}
}

// TestRightKeySignatures is the same for keys without a certificate.
func TestRightKeySignatures(t *testing.T) {
	s := newSigstore(t)
	material := trust(t, s.TrustedRoot())
	tests := map[string]struct {
		kind    signing.Kind
		request sigstore.Request
		policy  policy
	}{
		"v2 format, Rekor v1":      {signing.ECDSAP256, sigstore.Request{Format: sigstore.FormatCosign, Log: sigstore.Rekor1}, policy{log: true}},
		"v2 format, RSA, Rekor v1": {signing.RSA2048, sigstore.Request{Format: sigstore.FormatCosign, Log: sigstore.Rekor1}, policy{log: true}},
		"v2 format, no log":        {signing.ECDSAP256, sigstore.Request{Format: sigstore.FormatCosign}, policy{}},
		"bundle, Rekor v1":         {signing.ECDSAP256, sigstore.Request{Format: sigstore.FormatBundle, Log: sigstore.Rekor1}, policy{log: true}},
		"bundle, Rekor v2":         {signing.ECDSAP256, sigstore.Request{Format: sigstore.FormatBundle, Log: sigstore.Rekor2, Timestamp: true}, policy{log: true, timestamp: true}},
		"bundle, RSA, Rekor v2":    {signing.RSA2048, sigstore.Request{Format: sigstore.FormatBundle, Log: sigstore.Rekor2, Timestamp: true}, policy{log: true, timestamp: true}},
		"bundle, P-384, Rekor v2":  {signing.ECDSAP384, sigstore.Request{Format: sigstore.FormatBundle, Log: sigstore.Rekor2}, policy{log: true}},
		"bundle, P-521, Rekor v2":  {signing.ECDSAP521, sigstore.Request{Format: sigstore.FormatBundle, Log: sigstore.Rekor2}, policy{log: true}},
		"bundle, P-384, Rekor v1":  {signing.ECDSAP384, sigstore.Request{Format: sigstore.FormatBundle, Log: sigstore.Rekor1}, policy{log: true}},
		"bundle, message, P-256":   {signing.ECDSAP256, sigstore.Request{Format: sigstore.FormatBundle, MessageSignature: true, Log: sigstore.Rekor1}, policy{log: true}},
		"bundle, message, RSA":     {signing.RSA2048, sigstore.Request{Format: sigstore.FormatBundle, MessageSignature: true, Log: sigstore.Rekor2}, policy{log: true}},
		"bundle, no log":           {signing.ECDSAP256, sigstore.Request{Format: sigstore.FormatBundle}, policy{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			key, err := signing.NewKey(test.kind)
			if err != nil {
				t.Fatal(err)
			}
			signed := sign(t, s, sigstore.KeySigner(key), test.request)
			if err := test.policy.verify(t, signed, material, key); err != nil {
				t.Errorf("not accepted: %v", err)
			}
			other, err := signing.NewKey(test.kind)
			if err != nil {
				t.Fatal(err)
			}
			if err := test.policy.verify(t, signed, material, other); err == nil {
				t.Error("accepted with another key")
			}
		})
	}
}

// TestPastSignatures makes signatures with a certificate that has expired since
// it was used.
func TestPastSignatures(t *testing.T) {
	s := newSigstore(t)
	material := trust(t, s.TrustedRoot())
	at := time.Now().AddDate(-5, 0, 0)
	signer := issue(t, s, sigstore.CertificateOptions{NotBefore: at})
	used := at.Add(time.Minute)
	for name, test := range map[string]struct {
		request sigstore.Request
		policy  policy
	}{
		"v2 format, Rekor v1":  {sigstore.Request{Format: sigstore.FormatCosign, Log: sigstore.Rekor1, LogTime: used}, logged},
		"v2 format, timestamp": {sigstore.Request{Format: sigstore.FormatCosign, Timestamp: true, TimestampTime: used}, timestamped},
		"bundle, Rekor v1":     {sigstore.Request{Format: sigstore.FormatBundle, Log: sigstore.Rekor1, LogTime: used}, logged},
		"bundle, Rekor v2":     {sigstore.Request{Format: sigstore.FormatBundle, Log: sigstore.Rekor2, Timestamp: true, TimestampTime: used}, twice},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.policy.verify(t, sign(t, s, signer, test.request), material, nil); err != nil {
				t.Errorf("not accepted: %v", err)
			}
		})
	}
}

// TestKeysOfEveryKind has certificates for them. The library of cosign v2 knows
// only SHA-256.
func TestKeysOfEveryKind(t *testing.T) {
	s := newSigstore(t)
	material := trust(t, s.TrustedRoot())
	both := []sigstore.Format{sigstore.FormatCosign, sigstore.FormatBundle}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		key     crypto.Signer
		formats []sigstore.Format
	}{
		"RSA":     {rsaKey, both},
		"P-384":   {p384, both[1:]},
		"Ed25519": {edwards, both[1:]},
	} {
		for _, format := range test.formats {
			t.Run(string(format)+", "+name, func(t *testing.T) {
				signer := issue(t, s, sigstore.CertificateOptions{Key: test.key})
				signed := sign(t, s, signer, sigstore.Request{Format: format, Log: sigstore.Rekor1})
				if err := logged.verify(t, signed, material, nil); err != nil {
					t.Errorf("not accepted: %v", err)
				}
			})
		}
	}
}

// TestRightVariants are forms that occur, and that are to be accepted.
func TestRightVariants(t *testing.T) {
	s, other := newSigstore(t), newSigstore(t)
	gitlab := sigstore.GitLab("example-group/app", "refs/heads/main")
	userName := sigstore.Identity{Issuer: "https://issuer.example", Subject: "dev!issuer.example"}
	for name, test := range map[string]struct {
		certificate sigstore.CertificateOptions
		identity    *sigstore.Identity
		edit        func(*sigstore.Signed)
		roots       []sigstore.Roots
	}{
		"another identity":       {identity: &gitlab},
		"a user name":            {identity: &userName},
		"two subjects":           {certificate: sigstore.CertificateOptions{ExtraSubjects: []string{"dev@example.com"}}},
		"chain in version 0.2":   {edit: func(s *sigstore.Signed) { s.BundleVersion, s.BundleChain = sigstore.Bundle02, true }},
		"two of every root":      {roots: []sigstore.Roots{other.Roots(), s.Roots()}},
		"roots in several parts": {roots: []sigstore.Roots{{CA: s, CTLog: s}, {Rekor1: s}}},
	} {
		t.Run(name, func(t *testing.T) {
			policy := logged
			policy.identity = &github
			if test.identity != nil {
				policy.identity = test.identity
			}
			signer, err := s.Issue(*policy.identity, test.certificate)
			if err != nil {
				t.Fatal(err)
			}
			if test.roots == nil {
				test.roots = []sigstore.Roots{s.Roots()}
			}
			document, err := sigstore.TrustedRoot(test.roots...)
			if err != nil {
				t.Fatal(err)
			}
			for _, format := range []sigstore.Format{sigstore.FormatCosign, sigstore.FormatBundle} {
				signed := sign(t, s, signer, sigstore.Request{Format: format, Log: sigstore.Rekor1})
				if test.edit != nil {
					test.edit(signed)
				}
				if err := policy.verify(t, signed, trust(t, document), nil); err != nil {
					t.Errorf("%s: not accepted: %v", format, err)
				}
			}
		})
	}
}

// TestAttach has the library of cosign find and verify what is attached in
// both kinds of registry.
func TestAttach(t *testing.T) {
	s := newSigstore(t)
	signer := issue(t, s, sigstore.CertificateOptions{})
	for kind, start := range map[string]func(registry.Options) (*registry.Server, error){
		"distribution": registry.Distribution,
		"referrers":    registry.Referrers,
	} {
		t.Run(kind, func(t *testing.T) {
			server, err := start(registry.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { server.Close() })
			reference := pushRandom(t, server.Host())
			request := sigstore.Request{Digest: reference.DigestStr(), Repository: reference.Context().Name(), Log: sigstore.Rekor1}
			options := &cosign.CheckOpts{
				ClaimVerifier:   cosign.SimpleClaimVerifier,
				TrustedMaterial: trust(t, s.TrustedRoot()),
				Offline:         true,
				Identities:      []cosign.Identity{{Issuer: github.Issuer, Subject: github.Subject}},
			}

			for range 2 {
				request.Format = sigstore.FormatCosign
				if err := sign(t, s, signer, request).Attach(t.Context(), reference.String()); err != nil {
					t.Fatal(err)
				}
				request.Format = sigstore.FormatBundle
				if err := sign(t, s, signer, request).Attach(t.Context(), reference.String()); err != nil {
					t.Fatal(err)
				}
			}
			signatures, _, err := cosign.VerifyImageSignatures(t.Context(), reference, options)
			if err != nil || len(signatures) != 2 {
				t.Errorf("%d signatures in the v2 format and %v, want 2", len(signatures), err)
			}
			options.NewBundleFormat, options.ClaimVerifier = true, nil
			bundles, _, err := cosign.VerifyImageAttestations(t.Context(), reference, options)
			if err != nil || len(bundles) != 2 {
				t.Errorf("%d bundles and %v, want 2", len(bundles), err)
			}
		})
	}
}

func pushRandom(t *testing.T, host string) name.Digest {
	t.Helper()
	image, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	reference, err := name.NewDigest(host + "/app@" + digest.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference, image, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	return reference
}

// TestPredicateType asks sigstore-go what a bundle says.
func TestPredicateType(t *testing.T) {
	s := newSigstore(t)
	for name, test := range map[string]struct{ request, want string }{
		"a signature":    {"", "https://sigstore.dev/cosign/sign/v1"},
		"an attestation": {"https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v1"},
	} {
		t.Run(name, func(t *testing.T) {
			signed := sign(t, s, issue(t, s, sigstore.CertificateOptions{}), sigstore.Request{
				Format: sigstore.FormatBundle, PredicateType: test.request, Log: sigstore.Rekor1,
			})
			result, err := logged.verifiedBundle(t, signed, trust(t, s.TrustedRoot()), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := result.Statement.GetPredicateType(); got != test.want {
				t.Errorf("predicate type %q, want %q", got, test.want)
			}
		})
	}
}

// TestLogsGrow adds to the logs from several sides at once, and verifies every
// entry.
func TestLogsGrow(t *testing.T) {
	s := newSigstore(t)
	signer := issue(t, s, sigstore.CertificateOptions{})
	for _, log := range []sigstore.Log{sigstore.Rekor1, sigstore.Rekor2} {
		t.Run(string(log), func(t *testing.T) {
			request := sigstore.Request{
				Digest: "sha256:" + hexDigest, Format: sigstore.FormatBundle, Log: log, Timestamp: true,
			}
			all := make([]*sigstore.Signed, 9)
			var group sync.WaitGroup
			for i := range all {
				group.Go(func() { all[i], _ = s.Sign(signer, request) })
			}
			group.Wait()
			var inTree []int64
			for _, signed := range all {
				if signed == nil {
					t.Fatal("not signed")
				}
				if err := twice.verify(t, signed, trust(t, s.TrustedRoot()), nil); err != nil {
					t.Errorf("not accepted: %v", err)
				}
				inTree = append(inTree, signed.Entries[0].GetInclusionProof().GetLogIndex())
			}
			slices.Sort(inTree)
			if diff := cmp.Diff([]int64{0, 1, 2, 3, 4, 5, 6, 7, 8}, inTree); diff != "" {
				t.Errorf("indexes (-want +got):\n%s", diff)
			}
		})
	}
}
