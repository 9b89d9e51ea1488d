package sigstored

import (
	"crypto/x509"
	"encoding/json"
	"net/http"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
)

// maxRequest bounds what the servers of this package read of a request, in bytes.
const maxRequest = 4 << 20

// serveCTLog serves the one request of a certificate transparency log that
// Fulcio makes: RFC 6962 4.2.
func (s *Stack) serveCTLog() (err error) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ct/v1/add-pre-chain", s.addPreChain)
	s.CTLog, err = s.serve(mux)
	return err
}

func (s *Stack) addPreChain(w http.ResponseWriter, r *http.Request) {
	var request ct.AddChainRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if len(request.Chain) < 2 {
		http.Error(w, "expected a precertificate and its issuer", http.StatusBadRequest)
		return
	}
	answer, err := s.logPrecertificate(request.Chain[0], request.Chain[1])
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answerJSON(w, http.StatusOK, answer)
}

func (s *Stack) logPrecertificate(precertificate, issuer []byte) (*ct.AddChainResponse, error) {
	certificate, err := x509.ParseCertificate(precertificate)
	if err != nil {
		return nil, err
	}
	by, err := x509.ParseCertificate(issuer)
	if err != nil {
		return nil, err
	}
	if err := certificate.CheckSignatureFrom(by); err != nil {
		return nil, err
	}
	sct, err := s.Sigstore.LogPrecertificate(certificate, by, time.Now())
	if err != nil {
		return nil, err
	}
	signature, err := tls.Marshal(sct.Signature)
	if err != nil {
		return nil, err
	}
	return &ct.AddChainResponse{SCTVersion: sct.SCTVersion, ID: sct.LogID.KeyID[:], Timestamp: sct.Timestamp, Signature: signature}, nil
}
