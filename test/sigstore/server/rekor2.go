package server

import (
	"fmt"
	"io"
	"net/http"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	tiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/rekor-tiles/v2/pkg/types/hashedrekord"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"
)

// algorithms are those that Rekor v2 takes unless it is told otherwise.
var algorithms = []common.PublicKeyDetails{
	common.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256, common.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384,
	common.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512, common.PublicKeyDetails_PKIX_ED25519_PH,
	common.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256, common.PublicKeyDetails_PKIX_RSA_PKCS1V15_3072_SHA256,
	common.PublicKeyDetails_PKIX_RSA_PKCS1V15_4096_SHA256,
}

// rekor2 adds an entry, or says that it has it.
func (s *Servers) rekor2(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost || r.URL.Path != "/api/v2/log/entries" {
		return fmt.Errorf("%s %s", r.Method, r.URL.Path)
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var asked tiles.CreateEntryRequest
	if err := protojson.Unmarshal(raw, &asked); err != nil {
		return err
	}
	taken, err := signature.NewAlgorithmRegistryConfig(algorithms)
	if err != nil {
		return err
	}
	entry, err := hashedrekord.ToLogEntry(asked.GetHashedRekordRequestV002(), taken)
	if err != nil {
		return err
	}
	document, err := protojson.Marshal(entry)
	if err != nil {
		return err
	}
	body, err := jsoncanonicalizer.Transform(document)
	if err != nil {
		return err
	}
	s.mutex.Lock()
	_, exists := s.entries[string(body)]
	s.entries[string(body)] = body
	s.mutex.Unlock()
	if exists {
		return s.write(w, http.StatusConflict, []byte(`{"code":6,"message":"an equivalent entry already exists in the transparency log with index 0"}`))
	}
	made, err := s.sigstore.LogRekor2(body)
	if err != nil {
		return err
	}
	answer, err := protojson.Marshal(made)
	if err != nil {
		return err
	}
	return s.write(w, http.StatusCreated, answer)
}

func (s *Servers) write(w http.ResponseWriter, status int, body []byte) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}
