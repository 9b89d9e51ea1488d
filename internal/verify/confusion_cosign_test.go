package verify_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
)

// nested is JSON that is this deep.
func nested(depth int) string {
	return strings.Repeat("[", depth) + strings.Repeat("]", depth)
}

// Payloads that the trusted key did sign, and that are no signature over the
// artifact.
func TestCosignPayloads(t *testing.T) {
	key := p256(t, "signer")
	changed := func(change func(critical object)) []byte {
		payload := cosignPayload(artifact, cosignType)
		change(payload["critical"].(object))
		return marshal(t, payload)
	}
	image := func(value any) []byte { return changed(func(c object) { c["image"] = value }) }
	digits := strings.TrimPrefix(artifact, "sha256:")
	tests := map[string]struct {
		reason  string
		payload []byte
	}{
		"AtomicType":        {"signed for GPG's format, not for Cosign's", marshal(t, cosignPayload(artifact, "atomic container signature"))},
		"NoType":            {"type is required", changed(func(c object) { delete(c, "type") })},
		"EmptyType":         {"type is required", marshal(t, cosignPayload(artifact, ""))},
		"TypeCase":          {"type is a constant", marshal(t, cosignPayload(artifact, strings.ToUpper(cosignType)))},
		"TypeSpace":         {"type is a constant", marshal(t, cosignPayload(artifact, cosignType+" "))},
		"TypeNumber":        {"type is a string", changed(func(c object) { c["type"] = 1 })},
		"TypeNull":          {"type is a string", changed(func(c object) { c["type"] = nil })},
		"TypeList":          {"type is a string", changed(func(c object) { c["type"] = []string{cosignType} })},
		"AnotherDigest":     {"over another artifact", marshal(t, cosignPayload(another, cosignType))},
		"NoDigest":          {"over nothing", image(object{})},
		"EmptyDigest":       {"over nothing", image(object{"docker-manifest-digest": ""})},
		"DigestNoAlgorithm": {"not a digest", image(object{"docker-manifest-digest": digits})},
		"DigestUpperCase":   {"one digest has one spelling", image(object{"docker-manifest-digest": "sha256:" + strings.ToUpper(digits)})},
		"DigestSHA512":      {"the same digits of another algorithm", image(object{"docker-manifest-digest": "sha512:" + digits})},
		"DigestNumber":      {"not a string", image(object{"docker-manifest-digest": 1})},
		"DigestList":        {"not a string", image(object{"docker-manifest-digest": []string{artifact}})},
		"DigestNull":        {"not a string", image(object{"docker-manifest-digest": nil})},
		"ImageString":       {"not an object", image(artifact)},
		"ImageNull":         {"not an object", image(nil)},
		"NoImage":           {"over nothing", changed(func(c object) { delete(c, "image") })},
		"DigestElsewhere":   {"only this field counts", changed(func(c object) { delete(c, "image"); c["docker-manifest-digest"] = artifact })},
		"DigestInOptional":  {"only this field counts", marshal(t, object{"critical": object{"type": cosignType}, "optional": object{"docker-manifest-digest": artifact}})},
		"CriticalList":      {"not an object", marshal(t, object{"critical": []any{}})},
		"NoCritical":        {"nothing is said", []byte(`{}`)},
		"Null":              {"nothing is said", []byte(`null`)},
		"List":              {"not an object", []byte(`[]`)},
		"String":            {"not an object", marshal(t, artifact)},
		"Empty":             {"nothing is said", nil},
		"NotJSON":           {"not JSON", []byte("sha256 " + artifact)},
		"Truncated":         {"not JSON", marshal(t, cosignPayload(artifact, cosignType))[:100]},
		"Trailing":          {"more than one document", append(marshal(t, cosignPayload(artifact, cosignType)), '{')},
		"Two":               {"more than one document", bytes.Repeat(marshal(t, cosignPayload(artifact, cosignType)), 2)},
		"Deep":              {"an attack on the parser", []byte(nested(100_000))},
		"DeepOptional":      {"an attack on the parser", []byte(strings.Replace(string(marshal(t, cosignPayload(artifact, cosignType))), `"optional":null`, `"optional":`+nested(100_000), 1))},
		"Statement":         {"a statement is for bundles", marshal(t, statement(signPredicate, subject(artifact)))},
		"PAE":               {"what a bundle's signature is over", pae(inTotoType, marshal(t, statement(signPredicate, subject(artifact))))},
		"Digest":            {"only the digest", []byte(artifact)},
	}
	wantVerified(t, trusting(t, key), artifact, cosignOver(t, key, marshal(t, cosignPayload(artifact, cosignType))))
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, verify.ReasonSignatureInvalid, trusting(t, key), artifact, cosignOver(t, key, tt.payload))
		})
	}
}

// Annotations are what a registry says: any JSON at all, or none.
func TestCosignAnnotations(t *testing.T) {
	key := p256(t, "signer")
	right := cosignSigned(t, artifact, key)
	var parsed map[string]string
	if err := json.Unmarshal(right.Annotations, &parsed); err != nil {
		t.Fatal(err)
	}
	signature := parsed[signatureAnnotation]
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		t.Fatal(err)
	}
	annotated := func(value any) string { return string(marshal(t, object{signatureAnnotation: value})) }
	with := func(name string, value any) string {
		return string(marshal(t, object{signatureAnnotation: signature, name: value}))
	}
	const (
		yes       = verify.Reason("")
		malformed = verify.ReasonSignatureInvalid
	)
	tests := map[string]struct {
		reason      string
		annotations string
		want        verify.Reason
	}{
		"Right":             {"", annotated(signature), yes},
		"Nothing":           {"no JSON", "", malformed},
		"NotJSON":           {"no JSON", "dev.cosignproject.cosign/signature", malformed},
		"Truncated":         {"no JSON", annotated(signature)[:40], malformed},
		"Null":              {"no annotations", "null", malformed},
		"Number":            {"not an object", "1", malformed},
		"String":            {"not an object", `"` + signature + `"`, malformed},
		"List":              {"not an object", "[" + annotated(signature) + "]", malformed},
		"EmptyObject":       {"no signature", "{}", malformed},
		"OtherName":         {"no signature", string(marshal(t, object{"signature": signature})), malformed},
		"NameCase":          {"names are compared as they are", string(marshal(t, object{strings.ToUpper(signatureAnnotation): signature})), malformed},
		"ValueNumber":       {"not a string", annotated(1), malformed},
		"ValueNull":         {"not a string", annotated(nil), malformed},
		"ValueBool":         {"not a string", annotated(true), malformed},
		"ValueList":         {"not a string", annotated([]string{signature}), malformed},
		"ValueObject":       {"not a string", annotated(object{"": signature}), malformed},
		"ValueEmpty":        {"no signature", annotated(""), malformed},
		"ValueSpace":        {"no signature", annotated(" "), malformed},
		"ValueNewlines":     {"base64 of nothing", annotated("\n\n\n\n"), malformed},
		"ValueNotBase64":    {"not base64", annotated("?" + signature[1:]), malformed},
		"ValueURLBase64":    {"not the base64 that Cosign writes", annotated(base64URL(signature)), malformed},
		"ValueShort":        {"a character less", annotated(signature[1:]), malformed},
		"ValueOtherLetter":  {"not what the key made", annotated("A" + signature[1:]), verify.ReasonKeyMismatch},
		"ValueBytesAfter":   {"bytes behind the signature", annotated(base64Of(append(raw, 0))), verify.ReasonKeyMismatch},
		"FirstWrong":        {"of two of one name the last counts", twice(annotated("AAAA"), annotated(signature)), yes},
		"LastWrong":         {"of two of one name the last counts", twice(annotated(signature), annotated("AAAA")), verify.ReasonKeyMismatch},
		"LastNull":          {"of two of one name the last counts", twice(annotated(signature), annotated(nil)), malformed},
		"OtherNumber":       {"others are not looked at", with("other", 1), yes},
		"OtherObject":       {"others are not looked at", with("other", object{"a": []any{nil}}), yes},
		"CertificateNumber": {"a key needs no certificate", with("dev.sigstore.cosign/certificate", 1), yes},
		"CertificateWrong":  {"a key needs no certificate", with("dev.sigstore.cosign/certificate", "-----BEGIN CERTIFICATE-----"), yes},
		"CertificateReal":   {"a key needs no certificate, whatever its dates", with("dev.sigstore.cosign/certificate", block("CERTIFICATE", certificateDER())), yes},
		"ChainWrong":        {"a key needs no chain", with("dev.sigstore.cosign/chain", marker), yes},
		"BundleNumber":      {"the log is ignored", with("dev.sigstore.cosign/bundle", 1), yes},
		"BundleWrong":       {"the log is ignored", with("dev.sigstore.cosign/bundle", `{"Payload": 1}`), yes},
		"BundleNotJSON":     {"the log is ignored", with("dev.sigstore.cosign/bundle", "{"), yes},
		"TimestampWrong":    {"the log is ignored", with("dev.sigstore.cosign/rfc3161timestamp", `{"SignedRFC3161Timestamp": "AAAA"}`), yes},
		"Deep":              {"an attack on the parser", nested(100_000), malformed},
		"DeepValue":         {"an attack on the parser", `{"` + signatureAnnotation + `":` + nested(100_000) + "}", malformed},
		"DeepOther":         {"an attack on the parser", `{"` + signatureAnnotation + `":"` + signature + `","a":` + nested(100_000) + "}", malformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := verify.Signature{Format: verify.FormatCosign, Payload: right.Payload, Annotations: []byte(tt.annotations)}
			if tt.want == yes {
				wantVerified(t, trusting(t, key), artifact, s)
				return
			}
			wantRefusal(t, tt.want, trusting(t, key), artifact, s)
		})
	}
}

// twice is an object with the fields of both, in this order.
func twice(first, second string) string {
	return strings.TrimSuffix(first, "}") + "," + strings.TrimPrefix(second, "{")
}

// base64URL makes sure that there is a letter that differs.
func base64URL(encoded string) string {
	return strings.NewReplacer("+", "-", "/", "_").Replace("////" + encoded)
}

// What is right in one format is nothing in the other.
func TestFormatsAreNotMixed(t *testing.T) {
	key := p256(t, "signer")
	cosign, bundle := cosignSigned(t, artifact, key), bundleSigned(t, artifact, key)
	as := func(s verify.Signature, format verify.Format) verify.Signature {
		s.Format = format
		return s
	}
	withBundle := cosign
	withBundle.Payload = bundle.Payload
	withPayload := bundle
	withPayload.Payload = cosign.Payload
	withPayload.Annotations = cosign.Annotations
	tests := map[string]struct {
		reason    string
		signature verify.Signature
		want      verify.Reason
	}{
		"CosignAsBundle":   {"a payload is no bundle", as(cosign, verify.FormatBundle), verify.ReasonSignatureInvalid},
		"BundleAsCosign":   {"a bundle has no annotations", as(bundle, verify.FormatCosign), verify.ReasonSignatureInvalid},
		"BundleInCosign":   {"annotations of another payload", withBundle, verify.ReasonKeyMismatch},
		"PayloadInBundle":  {"a payload is no bundle", withPayload, verify.ReasonSignatureInvalid},
		"Zero":             {"nothing", verify.Signature{}, verify.ReasonSignatureInvalid},
		"NoFormat":         {"unknown", as(cosign, ""), verify.ReasonSignatureInvalid},
		"UnknownFormat":    {"unknown", as(cosign, "notation"), verify.ReasonSignatureInvalid},
		"FormatCase":       {"unknown", as(cosign, "Cosign"), verify.ReasonSignatureInvalid},
		"NothingOfCosign":  {"what a place that cannot be read yields", verify.Signature{Format: verify.FormatCosign}, verify.ReasonSignatureInvalid},
		"NothingOfBundles": {"what a place that cannot be read yields", verify.Signature{Format: verify.FormatBundle}, verify.ReasonSignatureInvalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, tt.want, trusting(t, key), artifact, tt.signature)
		})
	}
}
