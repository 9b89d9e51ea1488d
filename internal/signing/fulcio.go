package signing

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/oauthflow"
)

// maxChain bounds the certificates above the one that is issued; two are usual.
// Those who verify look at no more than ten.
const maxChain = 9

// issued is a certificate with those above it, the root last.
type issued struct {
	leaf  *x509.Certificate
	chain []*x509.Certificate
}

// certify has a certificate issued for the key and the holder of the token.
// https://github.com/sigstore/fulcio/blob/main/fulcio.proto
func certify(ctx context.Context, o Options, key *Key) (issued, error) {
	s := service{what: "the certificate authority", url: o.Services.Fulcio, userAgent: o.UserAgent}
	token, err := o.Token(ctx)
	if err != nil {
		return issued{}, err
	}
	s.secret = token
	body, err := certificateRequest(ctx, s, key, token)
	if err != nil {
		return issued{}, err
	}
	a, err := s.ask(ctx, request{
		method: http.MethodPost, path: "/api/v2/signingCert", body: body, statuses: []int{http.StatusOK},
		header: map[string]string{"Content-Type": "application/json", "Authorization": "Bearer " + token},
	})
	if err != nil {
		return issued{}, err
	}
	return readIssued(s, a.body, key)
}

// certificateRequest signs, as the proof that the key is held, what the token
// says its holder is. The authority verifies the token.
func certificateRequest(ctx context.Context, s service, key *Key, token string) ([]byte, error) {
	noToken := s.problem("expected an identity token (a JWT with the claim sub, or a verified email), found something else")
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, noToken
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, noToken
	}
	subject, err := oauthflow.SubjectFromUnverifiedToken(claims)
	if err != nil {
		return nil, noToken
	}
	proof, _, err := key.sign(ctx, []byte(subject))
	if err != nil {
		return nil, err
	}
	public, err := key.PublicPEM()
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"publicKeyRequest": map[string]any{
		"publicKey":         map[string]string{"algorithm": "ECDSA", "content": string(public)},
		"proofOfPossession": proof,
	}})
}

// readIssued reads the certificates of an answer. That the first is for the key
// is looked at here; whether it can be trusted is for a trusted root to say.
func readIssued(s service, body []byte, key *Key) (issued, error) {
	type certificates struct {
		Chain struct {
			Certificates []string `json:"certificates"`
		} `json:"chain"`
	}
	var said struct {
		Embedded certificates `json:"signedCertificateEmbeddedSct"`
		Detached certificates `json:"signedCertificateDetachedSct"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return issued{}, s.problem("expected a certificate, found an answer that is not JSON")
	}
	texts := said.Embedded.Chain.Certificates
	if len(texts) == 0 {
		texts = said.Detached.Chain.Certificates
	}
	if len(texts) == 0 || len(texts) > maxChain+1 {
		return issued{}, s.problem("expected a certificate and at most %d above it, found %d in all", maxChain, len(texts))
	}
	var all []*x509.Certificate
	for _, text := range texts {
		one, err := cryptoutils.UnmarshalCertificatesFromPEM([]byte(text))
		if err != nil || len(one) != 1 {
			return issued{}, s.problem("expected certificates in PEM, found something else")
		}
		all = append(all, one[0])
	}
	if cryptoutils.EqualKeys(all[0].PublicKey, key.public) != nil {
		return issued{}, s.problem("expected a certificate for the key that was sent, found one for another")
	}
	return issued{leaf: all[0], chain: all[1:]}, nil
}
