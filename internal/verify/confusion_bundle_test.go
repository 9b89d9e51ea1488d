package verify_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
)

// Statements that the trusted key did sign.
func TestStatements(t *testing.T) {
	key := p256(t, "signer")
	digits := strings.TrimPrefix(artifact, "sha256:")
	changed := func(change func(object)) object {
		s := statement(signPredicate, subject(artifact))
		change(s)
		return s
	}
	var many []any
	for range 1024 {
		many = append(many, subject(another))
	}
	const (
		yes          = verify.Reason("")
		wrong        = verify.ReasonSignatureInvalid
		noSignature  = verify.ReasonNoSignature
		spdxDocument = "https://spdx.dev/Document"
	)
	tests := map[string]struct {
		reason    string
		statement any
		want      verify.Reason
	}{
		"Right":              {"", statement(signPredicate, subject(artifact)), yes},
		"WithName":           {"names are not looked at", statement(signPredicate, object{"name": "app", "digest": object{"sha256": digits}}), yes},
		"WithPredicate":      {"cosign v3 writes an empty one", changed(func(s object) { s["predicate"] = object{} }), yes},
		"OneOfSeveral":       {"it names this artifact too", statement(signPredicate, subject(another), subject(artifact)), yes},
		"TwoAlgorithms":      {"it names this artifact too", statement(signPredicate, object{"digest": object{"sha512": digits + digits, "sha256": digits}}), yes},
		"Another":            {"over another artifact", statement(signPredicate, subject(another)), wrong},
		"SeveralOthers":      {"over other artifacts", statement(signPredicate, subject(another), subject(digestOf("third"))), wrong},
		"NoSubjects":         {"over nothing", statement(signPredicate), wrong},
		"SubjectMissing":     {"over nothing", changed(func(s object) { delete(s, "subject") }), wrong},
		"SubjectNull":        {"over nothing", changed(func(s object) { s["subject"] = nil }), wrong},
		"SubjectEmpty":       {"over nothing", statement(signPredicate, object{}), wrong},
		"SHA512Only":         {"another algorithm", statement(signPredicate, subject("sha512:"+digits+digits)), wrong},
		"SHA512OfSHA256":     {"the digits under another algorithm", statement(signPredicate, subject("sha512:"+digits)), wrong},
		"AlgorithmCase":      {"algorithms are compared as they are", statement(signPredicate, subject("SHA256:"+digits)), wrong},
		"AlgorithmOfBundles": {"the name of protobuf's enumeration", statement(signPredicate, subject("SHA2_256:"+digits)), wrong},
		"WithAlgorithm":      {"not hexadecimal", statement(signPredicate, object{"digest": object{"sha256": artifact}}), wrong},
		"DigestPrefix":       {"a prefix", statement(signPredicate, subject(artifact[:len(artifact)-2])), wrong},
		"DigestEmpty":        {"empty", statement(signPredicate, subject("sha256:")), wrong},
		"OnlyName":           {"names are not looked at", statement(signPredicate, object{"name": artifact}), wrong},
		"OnlyURI":            {"URIs are not looked at", statement(signPredicate, object{"uri": "oci://registry.example/app@" + artifact}), wrong},
		"TooManySubjects":    {"over the library's bound", statement(signPredicate, append(many, subject(artifact))...), wrong},
		"SubjectObject":      {"not a list", changed(func(s object) { s["subject"] = subject(artifact) }), wrong},
		"DigestString":       {"not an object", statement(signPredicate, object{"digest": artifact}), wrong},
		"DigestList":         {"not a string", statement(signPredicate, object{"digest": object{"sha256": []string{digits}}}), wrong},
		"SLSA":               {"an attestation is not a signature", statement(slsaPredicate, subject(artifact)), noSignature},
		"SPDX":               {"an attestation is not a signature", statement(spdxDocument, subject(artifact)), noSignature},
		"Custom":             {"an attestation is not a signature", statement("https://cosign.sigstore.dev/attestation/v1", subject(artifact)), noSignature},
		"SignV2":             {"of a later version, whatever that says", statement("https://sigstore.dev/cosign/sign/v2", subject(artifact)), noSignature},
		"SignPrefix":         {"types are compared as they are", statement(signPredicate+"/", subject(artifact)), noSignature},
		"SignCase":           {"types are compared as they are", statement(strings.ToUpper(signPredicate), subject(artifact)), noSignature},
		"NoPredicateType":    {"nothing is said", changed(func(s object) { delete(s, "predicateType") }), noSignature},
		"PredicateTypeNull":  {"nothing is said", changed(func(s object) { s["predicateType"] = nil }), noSignature},
		"PredicateTypeList":  {"not a string", changed(func(s object) { s["predicateType"] = []string{signPredicate} }), wrong},
		"PredicateHasType": {"only the statement's own type counts", changed(func(s object) {
			s["predicateType"] = slsaPredicate
			s["predicate"] = object{"predicateType": signPredicate}
		}), noSignature},
		"List":          {"not an object", []any{statement(signPredicate, subject(artifact))}, wrong},
		"Null":          {"nothing", nil, noSignature},
		"CosignPayload": {"the other format's document", cosignPayload(artifact, cosignType), noSignature},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := bundleOver(t, key, tt.statement)
			if tt.want == yes {
				wantVerified(t, trusting(t, key), artifact, s)
				return
			}
			wantRefusal(t, tt.want, trusting(t, key), artifact, s)
		})
	}
}

// Bundles around what the trusted key did sign.
func TestBundles(t *testing.T) {
	key := p256(t, "signer")
	raw := marshal(t, statement(signPredicate, subject(artifact)))
	right := signRaw(t, key, pae(inTotoType, raw))
	document := func(change func(object)) object {
		d := bundleDocument(object{"dsseEnvelope": envelope(inTotoType, raw, right)})
		change(d)
		return d
	}
	mediaType := func(value any) object { return document(func(d object) { d["mediaType"] = value }) }
	material := func(value any) object { return document(func(d object) { d["verificationMaterial"] = value }) }
	content := func(value object) object { return bundleDocument(object{"dsseEnvelope": value}) }
	changed := func(name string, value any) object {
		e := maps.Clone(envelope(inTotoType, raw, right))
		e[name] = value
		return content(e)
	}
	const (
		base      = "application/vnd.dev.sigstore.bundle"
		yes       = verify.Reason("")
		malformed = verify.ReasonSignatureInvalid
		mismatch  = verify.ReasonKeyMismatch
	)
	tests := map[string]struct {
		reason string
		bundle any
		want   verify.Reason
	}{
		"Right":              {"", document(func(object) {}), yes},
		"V01":                {"an older version says the same", mediaType(base + "+json;version=0.1"), yes},
		"V02":                {"an older version says the same", mediaType(base + "+json;version=0.2"), yes},
		"V03OldSpelling":     {"as some tools wrote it", mediaType(base + "+json;version=0.3"), yes},
		"V04":                {"a later version, whatever it says", mediaType(base + ".v0.4+json"), malformed},
		"V04OldSpelling":     {"a later version, whatever it says", mediaType(base + "+json;version=0.4"), malformed},
		"V1":                 {"a later version, whatever it says", mediaType(base + ".v1.0+json"), malformed},
		"V00":                {"no such version", mediaType(base + ".v0.0+json"), malformed},
		"NoVersion":          {"no version", mediaType(base + "+json"), malformed},
		"NoMediaType":        {"no version", mediaType(""), malformed},
		"MediaTypeNumber":    {"not a string", mediaType(3), malformed},
		"HintEmpty":          {"the hint is a claim", material(object{"publicKey": object{"hint": ""}}), yes},
		"HintOfAnother":      {"the hint is a claim", material(object{"publicKey": object{"hint": fingerprint(t, p256(t, "other"))}}), yes},
		"HintMissing":        {"the hint is a claim", material(object{"publicKey": object{}}), yes},
		"HintNumber":         {"not a string", material(object{"publicKey": object{"hint": 1}}), malformed},
		"Certificate":        {"a certificate is no key, whoever it names", material(object{"certificate": object{"rawBytes": base64Of(certificateDER())}}), mismatch},
		"CertificateEmpty":   {"a certificate is no key", material(object{"certificate": object{}}), mismatch},
		"CertificateChain":   {"not in version 0.3", material(object{"x509CertificateChain": object{"certificates": []any{}}}), malformed},
		"CertificateAndKey":  {"one of them", material(object{"publicKey": object{"hint": ""}, "certificate": object{"rawBytes": base64Of(certificateDER())}}), malformed},
		"NoMaterial":         {"nothing says how it is signed", document(func(d object) { delete(d, "verificationMaterial") }), malformed},
		"MaterialEmpty":      {"nothing says how it is signed", material(object{}), malformed},
		"LogEntryEmpty":      {"not an entry", material(object{"publicKey": object{}, "tlogEntries": []any{object{}}}), malformed},
		"TimestampWrong":     {"the log is ignored", material(object{"publicKey": object{}, "timestampVerificationData": object{"rfc3161Timestamps": []any{object{"signedTimestamp": "AAAA"}}}}), yes},
		"NoContent":          {"nothing", bundleDocument(nil), malformed},
		"NoEnvelope":         {"nothing", content(nil), malformed},
		"EmptyEnvelope":      {"no type", content(object{}), verify.ReasonNoSignature},
		"UnsignedEnvelope":   {"DSSE in a bundle has one signature", content(envelope(inTotoType, raw)), malformed},
		"TwoSignatures":      {"DSSE in a bundle has one signature", content(envelope(inTotoType, raw, right, right)), malformed},
		"RightAndWrong":      {"DSSE in a bundle has one signature", content(envelope(inTotoType, raw, right, []byte("wrong"))), malformed},
		"SignatureEmpty":     {"not a signature", content(envelope(inTotoType, raw, nil)), mismatch},
		"SignatureOverRaw":   {"over the payload, not over its encoding", content(envelope(inTotoType, raw, signRaw(t, key, raw))), mismatch},
		"OtherPayload":       {"of another statement", content(envelope(inTotoType, marshal(t, statement(signPredicate, subject(another))), right)), mismatch},
		"OtherPayloadType":   {"not in-toto", content(signedEnvelope(t, key, "application/json", raw)), verify.ReasonNoSignature},
		"EmptyPayloadType":   {"not in-toto", content(signedEnvelope(t, key, "", raw)), verify.ReasonNoSignature},
		"PayloadTypeCase":    {"types are compared as they are", content(signedEnvelope(t, key, strings.ToUpper(inTotoType), raw)), verify.ReasonNoSignature},
		"PayloadTypeChanged": {"the type is signed too", changed("payloadType", "application/json"), verify.ReasonNoSignature},
		"PayloadEmpty":       {"nothing", content(signedEnvelope(t, key, inTotoType, nil)), malformed},
		"PayloadNotJSON":     {"not a statement", content(signedEnvelope(t, key, inTotoType, []byte(artifact))), malformed},
		"PayloadDeep":        {"an attack on the parser", content(signedEnvelope(t, key, inTotoType, []byte(nested(100_000)))), malformed},
		"PredicateDeep":      {"an attack on the parser", content(signedEnvelope(t, key, inTotoType, []byte(`{"predicateType":"`+signPredicate+`","predicate":`+nested(100_000)+`}`))), malformed},
		"KeyIDOfAnother":     {"a claim of another key", changed("signatures", []any{object{"sig": base64Of(right), "keyid": "another"}}), mismatch},
		"UnknownField":       {"not in the format", document(func(d object) { d["note"] = marker }), malformed},
		"BothContents":       {"one of them", document(func(d object) { maps.Copy(d, messageDocument(artifact, right)) }), malformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := bundleOf(t, tt.bundle)
			if tt.want == yes {
				wantVerified(t, trusting(t, key), artifact, s)
				return
			}
			wantRefusal(t, tt.want, trusting(t, key), artifact, s)
		})
	}
}

// Bundles that are not even JSON objects.
func TestBundleText(t *testing.T) {
	key := p256(t, "signer")
	right := string(bundleSigned(t, artifact, key).Payload)
	deep := nested(100_000)
	tests := map[string]string{
		"Empty":      "",
		"Null":       "null",
		"Number":     "1",
		"List":       "[" + right + "]",
		"Truncated":  right[:len(right)-1],
		"Trailing":   right + "}",
		"Two":        right + right,
		"TwiceField": `{"mediaType":"` + bundleType + `",` + strings.TrimPrefix(right, "{"),
		"Deep":       deep,
		"DeepField":  `{"verificationMaterial":` + deep + "}",
		"DeepObject": strings.Repeat(`{"verificationMaterial":`, 100_000) + strings.Repeat("}", 100_000),
		"NUL":        right + "\x00",
		"UTF16":      "\xff\xfe" + right,
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, verify.ReasonSignatureInvalid, trusting(t, key), artifact,
				verify.Signature{Format: verify.FormatBundle, Payload: []byte(text)})
		})
	}
}
