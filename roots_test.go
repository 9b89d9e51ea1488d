package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// rootsVariable is set in a process that only tells which authorities it knows.
const rootsVariable = "ASSAY_TEST_ROOTS"

// TestCertificateAuthorities: those in the program are for where there are none,
// and what a cluster mounts or names takes their place. A process reads them
// once, so that each case is a process.
func TestCertificateAuthorities(t *testing.T) {
	if file := os.Getenv(rootsVariable); file != "" {
		tellRoots(t, file)
		return
	}
	folder := t.TempDir()
	private := filepath.Join(folder, "certs", "private.pem")
	writeAuthority(t, private)
	nowhere := filepath.Join(folder, "nowhere")
	for name, c := range map[string]struct{ file, dir, want string }{
		"none on the system": {nowhere, nowhere, "public=true private=false"},
		"a file":             {private, nowhere, "public=false private=true"},
		"a mounted folder":   {nowhere, filepath.Dir(private), "public=false private=true"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestCertificateAuthorities$", "-test.v")
			cmd.Env = append(os.Environ(), rootsVariable+"="+private, "SSL_CERT_FILE="+c.file, "SSL_CERT_DIR="+c.dir)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), c.want) {
				t.Errorf("expected %s, found %v: %s", c.want, err, out)
			}
		})
	}
}

// tellRoots tells whether the process trusts an authority of the public, and the
// one in a file.
func tellRoots(t *testing.T, file string) {
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	trusts := func(der []byte) bool {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Verify(x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, CurrentTime: c.NotBefore.Add(time.Hour)})
		return err == nil
	}
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			fmt.Printf("public=%t private=%t\n", trusts(root.Certificate), trusts(block.Bytes))
			return
		}
	}
}

func writeAuthority(t *testing.T, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "private"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
