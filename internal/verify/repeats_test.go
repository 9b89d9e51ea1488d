package verify_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/assay-dev/assay/internal/verify"
)

// markedCertificate has the marker in every name that a certificate has, and is
// valid today.
func markedCertificate() []byte {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber:   big.NewInt(1),
		Subject:        pkix.Name{CommonName: marker, Organization: []string{marker}},
		EmailAddresses: []string{marker + "@example.com"},
		DNSNames:       []string{marker + ".example.com"},
		URIs:           []*url.URL{must(url.Parse("https://example.com/" + marker))},
		NotBefore:      time.Now().Add(-time.Hour),
		NotAfter:       time.Now().Add(time.Hour),
		ExtraExtensions: []pkix.Extension{
			// Fulcio's issuer, in both forms.
			{Id: []int{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte("https://" + marker)},
			{Id: []int{1, 3, 6, 1, 4, 1, 57264, 1, 8}, Value: der("https://" + marker)},
		},
	}
	return must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
}

// marked are signatures with the marker in every place that an attacker fills.
func marked(t *testing.T) map[string]verify.Signature {
	t.Helper()
	first, stranger := p256(t, "first"), p256(t, "stranger")
	payload := cosignPayload(marker, marker)
	payload["critical"].(object)["identity"] = object{"docker-reference": marker}
	payload["optional"] = object{marker: marker, "creator": marker}
	plain := marshal(t, cosignPayload(artifact, cosignType))
	annotated := func(by object) verify.Signature {
		annotations := object{
			signatureAnnotation: base64Of(signRaw(t, stranger, plain)), marker: marker,
			"dev.sigstore.cosign/certificate":      block("CERTIFICATE", markedCertificate()),
			"dev.sigstore.cosign/chain":            block("CERTIFICATE", markedCertificate()),
			"dev.sigstore.cosign/bundle":           `{"SignedEntryTimestamp":"` + base64Of([]byte(marker)) + `","Payload":{"body":"` + marker + `"}}`,
			"dev.sigstore.cosign/rfc3161timestamp": `{"SignedRFC3161Timestamp":"` + base64Of([]byte(marker)) + `"}`,
		}
		for name, value := range by {
			annotations[name] = value
		}
		return cosignOf(t, plain, annotations)
	}
	markedStatement := statement(signPredicate, object{"name": marker, "uri": marker, "digest": object{"sha256": hex.EncodeToString([]byte(marker)), marker: marker}})
	markedStatement["predicate"] = object{marker: marker}
	markedEnvelope := envelope(inTotoType, marshal(t, markedStatement), []byte(marker))
	markedEnvelope["signatures"].([]any)[0].(object)["keyid"] = marker
	material := func(document object, value object) object {
		document["verificationMaterial"] = value
		return document
	}
	hinted := object{"publicKey": object{"hint": marker}}
	mediaType := bundleDocument(object{"dsseEnvelope": markedEnvelope})
	mediaType["mediaType"] = marker
	field := bundleDocument(object{"dsseEnvelope": markedEnvelope})
	field[marker] = marker
	return map[string]verify.Signature{
		"Format":               {Format: marker},
		"CosignPayload":        cosignOver(t, stranger, marshal(t, payload)),
		"CosignPayloadByFirst": cosignOver(t, first, marshal(t, payload)),
		"CosignText":           cosignOver(t, first, []byte(marker)),
		"CosignAnnotations":    annotated(nil),
		"CosignByFirst":        annotated(object{signatureAnnotation: base64Of(signRaw(t, first, marshal(t, payload)))}),
		"CosignSignature":      annotated(object{signatureAnnotation: marker}),
		"CosignSignatureRaw":   annotated(object{signatureAnnotation: base64Of([]byte(marker))}),
		"CosignSignatureList":  annotated(object{signatureAnnotation: []string{marker}}),
		"CosignNotJSON":        {Format: verify.FormatCosign, Annotations: []byte(marker)},
		"BundleNotJSON":        {Format: verify.FormatBundle, Payload: []byte(marker)},
		"BundleMediaType":      bundleOf(t, mediaType),
		"BundleField":          bundleOf(t, field),
		"BundleHint":           bundleOf(t, material(bundleDocument(object{"dsseEnvelope": markedEnvelope}), hinted)),
		"BundleCertificate":    bundleOf(t, material(bundleDocument(object{"dsseEnvelope": markedEnvelope}), object{"certificate": object{"rawBytes": base64Of(markedCertificate())}})),
		"BundleNotCertificate": bundleOf(t, material(bundleDocument(object{"dsseEnvelope": markedEnvelope}), object{"certificate": object{"rawBytes": base64Of([]byte(marker))}})),
		"BundleByFirst":        bundleOver(t, first, markedStatement),
		"BundlePayloadType":    bundleOf(t, bundleDocument(object{"dsseEnvelope": signedEnvelope(t, first, marker, []byte(marker))})),
		"BundlePayload":        bundleOf(t, bundleDocument(object{"dsseEnvelope": signedEnvelope(t, first, inTotoType, []byte(marker))})),
		"BundlePredicateType":  bundleOver(t, first, statement("https://example.com/"+marker, object{"name": marker})),
		"BundleMessage":        bundleOf(t, messageDocument("sha256:"+hex.EncodeToString([]byte(marker)), []byte(marker))),
	}
}

// spellings are those of the marker.
func spellings() []string {
	raw := []byte(marker)
	return []string{
		"MARKER", "hunter2", strings.ToLower(marker), hex.EncodeToString(raw)[:16], strings.ToUpper(hex.EncodeToString(raw))[:16],
		base64.RawStdEncoding.EncodeToString(raw)[:10], base64.RawStdEncoding.EncodeToString(raw[1:])[:10], base64.RawStdEncoding.EncodeToString(raw[2:])[:10],
	}
}

// Nothing from a signature that is not verified reaches a message: not from one
// alone, and not from all of them together beside one that is verified.
func TestMessagesRepeatNothing(t *testing.T) {
	all := []verify.Signature{}
	check := func(t *testing.T, signatures ...verify.Signature) {
		t.Helper()
		for _, policy := range []verify.Policy{twoAuthorities(t), trusting(t, p256(t, "other"))} {
			v, err := verify.Verify(policy, artifact, signatures)
			var refusal *verify.Refusal
			if !errors.As(err, &refusal) || !v.IsZero() {
				t.Fatalf("expected a refusal, found %v", err)
			}
			for _, part := range spellings() {
				if strings.Contains(string(refusal.Reason)+refusal.Message, part) {
					t.Errorf("the message repeats %q: %s", part, refusal.Message)
				}
			}
		}
	}
	for name, s := range marked(t) {
		all = append(all, s)
		t.Run(name, func(t *testing.T) {
			check(t, s)
			check(t, s, cosignSigned(t, artifact, p256(t, "first")))
		})
	}
	check(t, all...)
	v := wantVerified(t, trusting(t, p256(t, "first")), artifact, append(all, bundleSigned(t, artifact, p256(t, "first")))...)
	for _, part := range spellings() {
		if text := outcome(v, nil); strings.Contains(text, part) {
			t.Errorf("the evidence repeats %q: %s", part, text)
		}
	}
}
