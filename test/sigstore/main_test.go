package sigstore_test

import (
	"bytes"
	"encoding/hex"
	"log"
	"os"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/cosign/v2/pkg/oci"
	ociremote "github.com/sigstore/cosign/v2/pkg/oci/remote"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
	"github.com/assay-dev/assay/test/sigstore"
)

const hexDigest = "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"

var github = sigstore.GitHub("example-org/app", "release.yml", "refs/tags/v1.0.0")

// policy is what a verifier is to require, beside the identity.
type policy struct {
	log       bool // an entry in a log
	timestamp bool // of an authority
	observer  bool // a time, of a log or of an authority
	identity  *sigstore.Identity
}

// wanted is the identity that is required.
func (p policy) wanted() sigstore.Identity {
	if p.identity == nil {
		return github
	}
	return *p.identity
}

// verify has the library of the format verify the signature, with a key if
// there is one, and otherwise for the identity github.
func (p policy) verify(t *testing.T, signed *sigstore.Signed, material root.TrustedMaterial, key *signing.Key) error {
	t.Helper()
	if signed.Format == sigstore.FormatCosign {
		return p.verifyCosign(t, signed, material, key)
	}
	_, err := p.verifiedBundle(t, signed, material, key)
	return err
}

// verifyCosign verifies with the library of cosign v2.
func (p policy) verifyCosign(t *testing.T, signed *sigstore.Signed, material root.TrustedMaterial, key *signing.Key) error {
	t.Helper()
	options := &cosign.CheckOpts{
		ClaimVerifier:       cosign.SimpleClaimVerifier,
		TrustedMaterial:     material,
		Offline:             true,
		IgnoreTlog:          !p.log,
		UseSignedTimestamps: p.timestamp,
		Identities:          []cosign.Identity{{Issuer: p.wanted().Issuer, Subject: p.wanted().Subject}},
	}
	if key != nil {
		options.SigVerifier, options.Identities = key.Verifier(), nil
	}
	signature := throughRegistry(t, signed)
	return recovered(func() error {
		_, err := cosign.VerifyImageSignature(t.Context(), signature, v1.Hash{Algorithm: "sha256", Hex: hexDigest}, options)
		return err
	})
}

// throughRegistry attaches the signature to an artifact, and reads it back with
// the library of cosign, which takes the annotations apart.
func throughRegistry(t *testing.T, signed *sigstore.Signed) oci.Signature {
	t.Helper()
	server, err := registry.Referrers(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	reference, err := name.NewDigest(server.Host() + "/app@sha256:" + hexDigest)
	if err != nil {
		t.Fatal(err)
	}
	if err := signed.Attach(t.Context(), reference.String()); err != nil {
		t.Fatal(err)
	}
	tag, err := ociremote.SignatureTag(reference)
	if err != nil {
		t.Fatal(err)
	}
	image, err := ociremote.Signatures(tag)
	if err != nil {
		t.Fatal(err)
	}
	all, err := image.Get()
	if err != nil || len(all) != 1 {
		t.Fatalf("%d signatures and %v in the registry, want one", len(all), err)
	}
	return all[0]
}

// keyedMaterial is a trusted root together with one key.
type keyedMaterial struct {
	root.TrustedMaterial
	key *root.ExpiringKey
}

func (k keyedMaterial) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) {
	return k.key, nil
}

// verifiedBundle verifies with sigstore-go.
func (p policy) verifiedBundle(t *testing.T, signed *sigstore.Signed, material root.TrustedMaterial, key *signing.Key) (*verify.VerificationResult, error) {
	t.Helper()
	document, err := signed.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	var options []verify.VerifierOption
	if p.log {
		options = append(options, verify.WithTransparencyLog(1))
	}
	if p.timestamp {
		options = append(options, verify.WithSignedTimestamps(1))
	}
	if p.observer {
		options = append(options, verify.WithObserverTimestamps(1))
	}
	var policyOption verify.PolicyOption
	if key != nil {
		material = keyedMaterial{material, root.NewExpiringKey(key.Verifier(), time.Time{}, time.Time{})}
		policyOption = verify.WithKey()
		if !p.timestamp && !p.observer {
			options = append(options, verify.WithNoObserverTimestamps())
		}
	} else {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
		identity, err := verify.NewShortCertificateIdentity(p.wanted().Issuer, "", p.wanted().Subject, "")
		if err != nil {
			t.Fatal(err)
		}
		policyOption = verify.WithCertificateIdentity(identity)
	}
	verifier, err := verify.NewVerifier(material, options...)
	if err != nil {
		t.Fatal(err)
	}
	var made bundle.Bundle
	if err := made.UnmarshalJSON(document); err != nil {
		return nil, err
	}
	digest, err := hex.DecodeString(hexDigest)
	if err != nil {
		t.Fatal(err)
	}
	return verifier.Verify(&made, verify.NewPolicy(verify.WithArtifactDigest("sha256", digest), policyOption))
}

func newSigstore(t *testing.T) *sigstore.Sigstore {
	t.Helper()
	s, err := sigstore.New()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func trust(t *testing.T, document []byte) *root.TrustedRoot {
	t.Helper()
	material, err := root.NewTrustedRootFromJSON(document)
	if err != nil {
		t.Fatal(err)
	}
	return material
}

// issue issues a certificate for the identity github.
func issue(t *testing.T, s *sigstore.Sigstore, o sigstore.CertificateOptions) *sigstore.Signer {
	t.Helper()
	signer, err := s.Issue(github, o)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// sign signs the digest that is verified.
func sign(t *testing.T, s *sigstore.Sigstore, signer *sigstore.Signer, r sigstore.Request) *sigstore.Signed {
	t.Helper()
	if r.Digest == "" {
		r.Digest = "sha256:" + hexDigest
	}
	signed, err := s.Sign(signer, r)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// TestMain keeps the remarks of cosign's library out of the output.
func TestMain(m *testing.M) {
	log.SetOutput(new(bytes.Buffer))
	os.Exit(m.Run())
}
