package api

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
)

// onlyKey replaces the key of the first authority.
func onlyKey(key map[string]any) edit { return set("verify.authorities[0].key", key) }

// inline is an authority's key that stands in the spec.
func inline(text string) edit { return onlyKey(map[string]any{"data": text}) }

// named is a reference to an object.
func named(name string) map[string]any { return map[string]any{"name": name} }

const (
	keyField    = "verify.authorities[0].key"
	dataField   = keyField + ".data"
	oneOf       = "key needs exactly one of secretRef, configMapRef and data"
	tooManyKeys = "authorities must have at most 32 public keys in all: remove those that sign no more"
	dataForm    = "data must be one or more public keys in PEM and nothing else"
)

var keys = table{
	"Secret":          {edits: edits(onlyKey(map[string]any{"secretRef": named("keys")}))},
	"ConfigMap":       {edits: edits(onlyKey(map[string]any{"configMapRef": named("keys")}))},
	"data":            {edits: edits(inline(publicKey(1)))},
	"null beside":     {edits: edits(onlyKey(map[string]any{"secretRef": named("keys"), "configMapRef": nil, "data": nil}))},
	"absent":          {edits: edits(drop(keyField)), refused: authorityField, says: keyOrKeyless},
	"null":            {edits: edits(set(keyField, nil)), refused: authorityField, says: keyOrKeyless},
	"bare text":       {edits: edits(set(keyField, publicKey(1))), refused: keyField, says: "must be of type object"},
	"empty":           {edits: edits(onlyKey(map[string]any{})), refused: keyField, says: oneOf},
	"null Secret":     {edits: edits(onlyKey(map[string]any{"secretRef": nil})), refused: keyField, says: oneOf},
	"Secret and data": {edits: edits(onlyKey(map[string]any{"secretRef": named("keys"), "data": publicKey(1)})), refused: keyField, says: oneOf},
	"Secret and ConfigMap": {
		edits: edits(onlyKey(map[string]any{"secretRef": named("keys"), "configMapRef": named("keys")})), refused: keyField, says: oneOf,
	},
	"ConfigMap and data": {
		edits: edits(onlyKey(map[string]any{"configMapRef": named("keys"), "data": publicKey(1)})), refused: keyField, says: oneOf,
	},
	"all": {
		edits: edits(onlyKey(map[string]any{"secretRef": named("keys"), "configMapRef": named("keys"), "data": publicKey(1)})), refused: keyField, says: oneOf,
	},
	"longest Secret":    {edits: edits(onlyKey(map[string]any{"secretRef": named(strings.Repeat("a", 253))}))},
	"longest ConfigMap": {edits: edits(onlyKey(map[string]any{"configMapRef": named(strings.Repeat("a", 253))}))},
	"unnamed Secret":    {edits: edits(onlyKey(map[string]any{"secretRef": map[string]any{}})), refused: keyField + ".secretRef.name", says: "Required value"},
	"unnamed ConfigMap": {edits: edits(onlyKey(map[string]any{"configMapRef": map[string]any{}})), refused: keyField + ".configMapRef.name", says: "Required value"},
	"empty Secret":      {edits: edits(onlyKey(map[string]any{"secretRef": named("")})), refused: keyField + ".secretRef.name", says: "should be at least 1 chars long"},
	"empty ConfigMap":   {edits: edits(onlyKey(map[string]any{"configMapRef": named("")})), refused: keyField + ".configMapRef.name", says: "should be at least 1 chars long"},
}

// folded is what YAML makes of a text after "data: >" instead of "data: |".
func folded(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\n", " ") + "\n" }

// many is n public keys in PEM.
func many(n int) string {
	var text strings.Builder
	for i := range n {
		text.WriteString(publicKey(byte(i)))
	}
	return text.String()
}

// block is some PEM block of a type.
func block(kind string) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte("something that is no key")}))
}

// pkcs1 is a public key as PKCS #1.
func pkcs1(bits int) string {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&key.PublicKey)}))
}

var inlineKeys = table{
	"one":                 {edits: edits(inline(publicKey(1)))},
	"two":                 {edits: edits(inline(publicKey(1) + publicKey(2)))},
	"blank lines":         {edits: edits(inline("\n\n" + publicKey(1) + "\n \n" + publicKey(2) + "\n\n"))},
	"no last line break":  {edits: edits(inline(strings.TrimSpace(publicKey(1))))},
	"Windows line breaks": {edits: edits(inline(strings.ReplaceAll(publicKey(1), "\n", "\r\n")))},
	"PKCS #1":             {edits: edits(inline(pkcs1(2048)))},
	"thirty-two":          {edits: edits(inline(many(32)))},
	"longest":             {edits: edits(inline(publicKey(1) + strings.Repeat("\n", 16384-len(publicKey(1)))))},
	"thirty-two in all": {edits: edits(set("verify.threshold", 1), authorities(
		authority("a", set("key", map[string]any{"data": many(16)})), authority("b", set("key", map[string]any{"data": many(15)})), authority("c")))},
	"number":          {edits: edits(onlyKey(map[string]any{"data": 1.5})), refused: dataField, says: "must be of type string"},
	"empty":           {edits: edits(inline("")), refused: dataField, says: "should be at least 1 chars long"},
	"blank":           {edits: edits(inline(" \n")), refused: dataField, says: dataForm},
	"text":            {edits: edits(inline("cosign.pub")), refused: dataField, says: dataForm},
	"base64":          {edits: edits(inline("MCowBQYDK2VwAyEAzswVB9wd3XKVlRwpCIjwla25BE0bc9aW5t8GXWg71Pw=")), refused: dataField, says: "from its line -----BEGIN PUBLIC KEY-----"},
	"folded":          {edits: edits(inline(folded(publicKey(1)))), refused: dataField, says: "write data: | to keep the lines"},
	"comment":         {edits: edits(inline("# the release key\n" + publicKey(1))), refused: dataField, says: "remove all other text"},
	"text between":    {edits: edits(inline(publicKey(1) + "and\n" + publicKey(2))), refused: dataField, says: "remove all other text"},
	"text behind":     {edits: edits(inline(publicKey(1) + "the release key")), refused: dataField, says: "remove all other text"},
	"cut short":       {edits: edits(inline(publicKey(1)[:60])), refused: dataField, says: "to its line -----END PUBLIC KEY-----"},
	"other end":       {edits: edits(inline(strings.Replace(publicKey(1), "END PUBLIC", "END RSA PUBLIC", 1))), refused: dataField, says: "to its line -----END PUBLIC KEY-----"},
	"certificate":     {edits: edits(inline(block("CERTIFICATE"))), refused: dataField, says: dataForm},
	"certificate too": {edits: edits(inline(publicKey(1) + block("CERTIFICATE"))), refused: dataField, says: dataForm},
	"SSH":             {edits: edits(inline("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM7MFQfcHd1ylZUcKQiI8JWtuQRNG3PWlubfBl1oO9T8")), refused: dataField, says: dataForm},
	"PGP":             {edits: edits(inline(block("PGP PUBLIC KEY BLOCK"))), refused: dataField, says: dataForm},
	"private":         {edits: edits(inline(block("PRIVATE KEY"))), refused: dataField, says: "write the public key only, and replace the private key"},
	"private, Cosign": {edits: edits(inline(block("ENCRYPTED SIGSTORE PRIVATE KEY"))), refused: dataField, says: "write the public key only, and replace the private key"},
	"private behind":  {edits: edits(inline(publicKey(1) + block("EC PRIVATE KEY"))), refused: dataField, says: "write the public key only, and replace the private key"},
	"thirty-three":    {edits: edits(inline(many(33))), refused: "verify", says: tooManyKeys},
	"one too many in all": {edits: edits(set("verify.threshold", 1), authorities(
		authority("a", set("key", map[string]any{"data": many(16)})), authority("b", set("key", map[string]any{"data": many(16)})), authority("c"))),
		refused: "verify", says: tooManyKeys},
	"too many in all": {edits: edits(set("verify.threshold", 1), authorities(
		authority("a", set("key", map[string]any{"data": many(16)})), authority("b", set("key", map[string]any{"data": many(17)})))),
		refused: "verify", says: tooManyKeys},
}

// TestPrivateKeyIsNotRepeated: the API server quotes the value that a field's
// own rule refuses, and the answer ends in logs.
func TestPrivateKeyIsNotRepeated(t *testing.T) {
	t.Parallel()
	secret := block("EC PRIVATE KEY")
	body := strings.Split(secret, "\n")[1]
	for _, text := range []string{secret, publicKey(1) + secret, secret + strings.Repeat(" ", 16384)} {
		for field, messages := range ask(t, write(inline(text))) {
			if strings.Contains(strings.Join(messages, "\n"), body) {
				t.Errorf("%s: the refusal repeats a private key: %q", field, messages)
			}
		}
	}
}

// TestLargestPolicy: a policy as large as the schema allows is not refused for
// what its rules cost.
func TestLargestPolicy(t *testing.T) {
	t.Parallel()
	list := make([]map[string]any, 16)
	for i := range list {
		text := publicKey(byte(i)) + publicKey(byte(100+i))
		list[i] = authority(strings.Repeat("a", 60)+string(rune('a'+i)), set("key", map[string]any{"data": text + strings.Repeat("\n", 16384-len(text))}))
	}
	if refusals := ask(t, write(authorities(list...), set("verify.threshold", 16))); refusals != nil {
		t.Errorf("expected it to be accepted, found %v", refusals)
	}
}

// TestOnlyTheCoreRefuses lists what CEL cannot see in a key, so that the core
// must.
func TestOnlyTheCoreRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no key inside": block("PUBLIC KEY"),
		"weak RSA":      pkcs1(1024),
		"not base64":    strings.Replace(publicKey(1), "MCow", "MCo=", 1),
		"SubjectPublicKeyInfo under the name of PKCS #1": strings.ReplaceAll(publicKey(1), "PUBLIC", "RSA PUBLIC"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := verify.ParseKeys([]byte(text)); err == nil {
				t.Error("expected the core to refuse it, found nothing wrong")
			}
			if refusals := ask(t, write(inline(text))); refusals != nil {
				t.Errorf("expected the API server to accept it, found %v: write it into the table", refusals)
			}
		})
	}
}
