// Command cosigned opens a cosigned checkpoint, read from standard input, with Go's note package:
//
//	cosigned LOG-VKEY WITNESS-VKEY
//
// The note package knows Ed25519 notes only; the verifier of cosignature/v1 (C2SP tlog-cosignature, type 0x04) is below.
// It prints the time of the cosignature and exits 1 unless both keys signed.
package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
	time uint64
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }
func (c *cosigner) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	c.time = binary.BigEndian.Uint64(sig)
	return ed25519.Verify(c.key, append([]byte(fmt.Sprintf("cosignature/v1\ntime %d\n", c.time)), text...), sig[8:])
}

func must(err error, what string) {
	if err != nil {
		fmt.Printf("FAILED %s: %v\n", what, err)
		os.Exit(1)
	}
}

func newCosigner(vkey string) *cosigner {
	parts := strings.SplitN(vkey, "+", 3)
	key, err := base64.StdEncoding.DecodeString(parts[2])
	must(err, "the witness key")
	if key[0] != 4 || len(key) != 1+ed25519.PublicKeySize {
		must(fmt.Errorf("type %d", key[0]), "the witness key")
	}
	id := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	hash := binary.BigEndian.Uint32(id[:])
	if fmt.Sprintf("%08x", hash) != parts[1] {
		must(fmt.Errorf("%08x is not %s", hash, parts[1]), "the key ID")
	}
	return &cosigner{name: parts[0], hash: hash, key: key[1:]}
}

func main() {
	log, err := note.NewVerifier(os.Args[1])
	must(err, "the log key")
	witness := newCosigner(os.Args[2])
	data, err := io.ReadAll(os.Stdin)
	must(err, "reading")
	opened, err := note.Open(data, note.VerifierList(log, witness))
	must(err, "opening")
	if len(opened.Sigs) != 2 {
		must(fmt.Errorf("%d of 2 keys signed", len(opened.Sigs)), "opening")
	}
	fmt.Printf("ok cosigned at %d, %d other signatures\n", witness.time, len(opened.UnverifiedSigs))
}
