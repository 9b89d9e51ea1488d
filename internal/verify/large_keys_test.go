package verify

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/assay-dev/assay/test/fixtures"
)

// A root with an RSA key of more than 8192 bits is refused before it is read
// further, wherever the key stands: each is tried on each signature.
func TestRootsWithLargeKeysAreRefused(t *testing.T) {
	raw, err := fixtures.File("trust/trusted_root.json")
	if err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	large := immodest(t, 8193)
	pkix, err := x509.MarshalPKIXPublicKey(large)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1, certificate := x509.MarshalPKCS1PublicKey(large), certificateOf(t, large).Raw
	for name, put := range map[string]func(root object){
		"log":                   func(r object) { r["tlogs"].([]any)[1].(object)["publicKey"].(object)["rawBytes"] = pkix },
		"log, PKCS #1":          func(r object) { r["tlogs"].([]any)[1].(object)["publicKey"].(object)["rawBytes"] = pkcs1 },
		"CT log":                func(r object) { r["ctlogs"].([]any)[0].(object)["publicKey"].(object)["rawBytes"] = pkix },
		"certificate authority": func(r object) { certificates(r, "certificateAuthorities")[1].(object)["rawBytes"] = certificate },
		"timestamp authority":   func(r object) { certificates(r, "timestampAuthorities")[0].(object)["rawBytes"] = certificate },
	} {
		t.Run(name, func(t *testing.T) {
			var root object
			if err := json.Unmarshal(raw, &root); err != nil {
				t.Fatal(err)
			}
			put(root)
			edited, err := json.Marshal(root)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ParseTrustedRoot(edited); err == nil || !strings.Contains(err.Error(), "RSA keys of at most 8192 bits") {
				t.Errorf("found %v", err)
			}
		})
	}
}

func certificates(root map[string]any, kind string) []any {
	return root[kind].([]any)[0].(map[string]any)["certChain"].(map[string]any)["certificates"].([]any)
}

// Two divides the order of every group that RSA computes in: an even exponent
// is a mistake or a trap, however large.
func TestEvenExponentsAreRefused(t *testing.T) {
	n := immodest(t, 2048).N
	for e, want := range map[int]bool{0: false, 1: false, 2: false, 3: true, 4: false, 65536: false, 65537: true} {
		der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).Set(n), E: e})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseKeys(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})); (err == nil) != want {
			t.Errorf("%d: %v", e, err)
		}
	}
}

// What a log does not keep is refused in every spelling that a reader of JSON
// takes for its field.
func TestProposedContentHoweverSpelt(t *testing.T) {
	for _, name := range []string{"proposedContent", "ProposedContent", "PROPOSEDCONTENT", "proposedcontent"} {
		body := []byte(`{"kind":"dsse","apiVersion":"0.0.1","spec":{"` + name + `":{"envelope":"{}"}}}`)
		if err := boundEntry(body); err == nil || !strings.Contains(err.Error(), "what a log does not keep") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
