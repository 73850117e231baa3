package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime of all certificates; no test cluster gets that old.
const lifetime = 365 * 24 * time.Hour

// identity is who a certificate is for: a user with groups, or a server with addresses.
type identity struct {
	name   string
	groups []string
	hosts  []string
}

// parts whose users have their rights by the API server's own default roles.
var users = map[string]identity{
	"kube-controller-manager": {name: "system:kube-controller-manager"},
	"kube-scheduler":          {name: "system:kube-scheduler"},
	"kube-proxy":              {name: "system:kube-proxy"},
	"metrics":                 {name: "serin-cluster-metrics", groups: []string{"system:masters"}},
	"front-proxy":             {name: "front-proxy-client"},
}

var servers = map[string]identity{
	"apiserver": {name: "kube-apiserver", hosts: []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost",
		apiAddress, "10.96.0.1", "127.0.0.1",
	}},
	"part":           {name: "part", hosts: []string{"localhost", "127.0.0.1"}}, // where only health is asked for
	"metrics-server": {name: "metrics", hosts: []string{"metrics.kube-system.svc", apiAddress}},
}

// addCertificates makes the certificate authority, what it issues to begin with, and the kubeconfigs.
func (c *cluster) addCertificates() error {
	if err := os.MkdirAll(c.path("pki"), 0o755); err != nil {
		return err
	}
	if err := c.addAuthority(); err != nil {
		return err
	}
	for name, server := range servers {
		if err := c.issue(name, server); err != nil {
			return err
		}
	}
	for name, user := range users {
		if err := c.issue(name, user); err != nil {
			return err
		}
		if err := c.writeKubeconfig(c.path("pki", name+".kubeconfig"), c.certificateLogin(name)); err != nil {
			return err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	return writeKey(c.path("pki", "service-accounts.key"), key)
}

// addNodeCertificates lets a kubelet in, as its node and no other, and lets it serve at its address.
func (c *cluster) addNodeCertificates(node nodeConfig) error {
	if err := c.issue(node.Name, identity{name: "system:node:" + node.Name, groups: []string{"system:nodes"}}); err != nil {
		return err
	}
	server := identity{name: node.Name, hosts: []string{node.Name, node.CIDR + ".1"}}
	if err := c.issue(node.Name+"-server", server); err != nil {
		return err
	}
	return c.writeKubeconfig(c.path("pki", node.Name+".kubeconfig"), c.certificateLogin(node.Name))
}

func (c *cluster) addAuthority() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "serin test cluster"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lifetime),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	if err := writePEM(c.path("ca.crt"), "CERTIFICATE", raw, 0o644); err != nil {
		return err
	}
	return writeKey(c.path("pki", "ca.key"), key)
}

// issue writes a key and a certificate for a server or a user.
func (c *cluster) issue(file string, who identity) error {
	authority, authorityKey, err := c.readAuthority()
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: who.name, Organization: who.groups},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if len(who.hosts) > 0 {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	for _, host := range who.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, authority, key.Public(), authorityKey)
	if err != nil {
		return err
	}
	if err := writePEM(c.path("pki", file+".crt"), "CERTIFICATE", raw, 0o644); err != nil {
		return err
	}
	return writeKey(c.path("pki", file+".key"), key)
}

func (c *cluster) readAuthority() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	rawCertificate, err := readPEM(c.path("ca.crt"))
	if err != nil {
		return nil, nil, err
	}
	rawKey, err := readPEM(c.path("pki", "ca.key"))
	if err != nil {
		return nil, nil, err
	}
	certificate, err := x509.ParseCertificate(rawCertificate)
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.ParseECPrivateKey(rawKey)
	return certificate, key, err
}

func writeKey(file string, key *ecdsa.PrivateKey) error {
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(file, "EC PRIVATE KEY", raw, 0o600)
}

func writePEM(file, kind string, raw []byte, mode os.FileMode) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), mode)
}

func readPEM(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM in " + filepath.Base(file))
	}
	return block.Bytes, nil
}

// certificateLogin is the user entry of a kubeconfig for what issue wrote.
func (c *cluster) certificateLogin(file string) string {
	return fmt.Sprintf("client-certificate: %q, client-key: %q", c.path("pki", file+".crt"), c.path("pki", file+".key"))
}

// writeKubeconfig writes a kubeconfig for this cluster.
func (c *cluster) writeKubeconfig(file, login string) error {
	const text = `apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster: {server: "https://%[2]s:6443", certificate-authority: %[3]q}
users:
- name: %[1]s
  user: {%[4]s}
contexts:
- name: %[1]s
  context: {cluster: %[1]s, user: %[1]s}
current-context: %[1]s
`
	return os.WriteFile(file, fmt.Appendf(nil, text, c.name, apiAddress, c.path("ca.crt"), login), 0o600)
}
