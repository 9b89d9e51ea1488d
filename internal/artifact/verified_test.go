package artifact

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
)

// moduleDigest stands for the manifest's digest.
var moduleDigest = "sha256:" + strings.Repeat("5a", 32)

// signed judges moduleDigest for real, once: there is no other way to a
// verify.Verified.
var signed = sync.OnceValues(func() (verify.Verified, []verify.Signature) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	payload := fmt.Appendf(nil,
		`{"critical":{"identity":{"docker-reference":""},"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"},"optional":null}`,
		moduleDigest)
	hash := sha256.Sum256(payload)
	signature, err := ecdsa.SignASN1(rand.Reader, key, hash[:])
	if err != nil {
		panic(err)
	}
	annotations, err := json.Marshal(map[string]string{
		"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(signature),
	})
	if err != nil {
		panic(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		panic(err)
	}
	keys, err := verify.ParseKeys(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	if err != nil {
		panic(err)
	}
	signatures := []verify.Signature{{Format: verify.FormatCosign, Payload: payload, Annotations: annotations}}
	verified, err := verify.Verify(verify.Policy{
		Threshold:   1,
		Authorities: []verify.Authority{{Name: "release-key", Keys: keys, TransparencyLog: verify.LogIgnore}},
	}, moduleDigest, signatures)
	if err != nil {
		panic(err)
	}
	return verified, signatures
})

func verified(t testing.TB) (verify.Verified, []verify.Signature) {
	t.Helper()
	v, signatures := signed()
	if v.IsZero() {
		t.Fatal("a verdict without an error is the zero Verified")
	}
	return v, signatures
}
