package registry

import "testing"

// What an address means counts, and not how it is written.
func TestIsInternal(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "localhost.": true, "a.localhost": true, "A.LOCALHOST.": true,
		"127.0.0.1": true, "127.9.9.9": true, "10.0.0.1": true, "172.16.0.1": true, "192.168.1.1": true, "169.254.169.254": true, "0.0.0.0": true,
		"100.64.0.1": true, "100.127.255.255": true, "::1": true, "::": true, "fe80::1": true, "fe80::1%eth0": true, "fd00::1": true,
		"::ffff:127.0.0.1": true, "::ffff:10.0.0.1": true, "::ffff:169.254.169.254": true, "::ffff:100.64.0.1": true, "::FFFF:a00:1": true,
		"100.63.255.255": false, "100.128.0.1": false, "8.8.8.8": false, "172.32.0.1": false, "2001:db8::1": false, "::ffff:8.8.8.8": false,
		"registry.example.com": false, "localhost.example.com": false, "notlocalhost": false, "10.0.0.1.example.com": false, "": false,
	} {
		if got := isInternal(host); got != want {
			t.Errorf("%q: %t", host, got)
		}
	}
}
