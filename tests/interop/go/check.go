// Command check reads a tlog-tiles log over HTTP with Go's own sumdb packages and verifies it, entry by entry.
//
//	check -url URL -vkey VKEY [-old SIZE:ROOT]... [-index N]... [-proofs FILE]
//
// It opens the checkpoint with the Ed25519 key VKEY, reads every tile and bundle of the checkpoint's tree, proves and
// checks the given indexes and older trees (ROOT in base64), and checks the proofs of FILE, which somebody else made:
//
//	{"inclusion": [{"index": 0, "hashes": ["..."]}], "consistency": [{"old": 1, "root": "...", "hashes": ["..."]}]}
//
// It prints one line for each check and exits 1 at the first failure, 2 when called wrongly.
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func must(err error, what string) {
	if err != nil {
		fmt.Printf("FAILED %s: %v\n", what, err)
		os.Exit(1)
	}
}

func fetch(url string) ([]byte, error) {
	response, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, response.Status)
	}
	return body, err
}

// tiles reads C2SP tile paths, which are Go's without the height: tile/8/0/000.p/1 is tile/0/000.p/1.
type tiles struct {
	url   string
	known map[tlog.Tile][]byte
}

func (t *tiles) Height() int                     { return height }
func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, tile := range wanted {
		data, ok := t.known[tile]
		if !ok {
			path := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height))
			var err error
			if data, err = fetch(t.url + "/tile/" + path); err != nil {
				return nil, err
			}
			t.known[tile] = data
		}
		out = append(out, data)
	}
	return out, nil
}

func openCheckpoint(url, vkey string) tlog.Tree {
	verifier, err := note.NewVerifier(vkey)
	must(err, "vkey")
	data, err := fetch(url + "/checkpoint")
	must(err, "fetching the checkpoint")
	opened, err := note.Open(data, note.VerifierList(verifier))
	must(err, "opening the checkpoint")
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] != verifier.Name() {
		must(fmt.Errorf("%q", opened.Text), "reading the checkpoint")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err, "the checkpoint's size")
	root, err := tlog.ParseHash(lines[2])
	must(err, "the checkpoint's root")
	fmt.Printf("ok checkpoint %s size %d, %d other signatures\n", lines[0], size, len(opened.UnverifiedSigs))
	return tlog.Tree{N: size, Hash: root}
}

// readEntries returns the record hash of every entry, each compared with the hash in the authenticated tiles.
func readEntries(url string, tree tlog.Tree, reader tlog.HashReader) []tlog.Hash {
	var hashes []tlog.Hash
	for first := int64(0); first < tree.N; first += 1 << height {
		width := tree.N - first
		if width > 1<<height {
			width = 1 << height
		}
		tile := tlog.Tile{H: height, L: -1, N: first >> height, W: int(width)}
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/data/", height), "tile/entries/", 1)
		bundle, err := fetch(url + "/" + path)
		must(err, "fetching a bundle")
		var indexes []int64
		for i := int64(0); i < width; i++ {
			if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
				must(fmt.Errorf("ends early"), path)
			}
			end := 2 + int(binary.BigEndian.Uint16(bundle))
			hashes = append(hashes, tlog.RecordHash(bundle[2:end]))
			bundle = bundle[end:]
			indexes = append(indexes, tlog.StoredHashIndex(0, first+i))
		}
		if len(bundle) != 0 {
			must(fmt.Errorf("trailing bytes"), path)
		}
		inTiles, err := reader.ReadHashes(indexes)
		must(err, "reading the tiles of "+path)
		for i, hash := range inTiles {
			if hash != hashes[first+int64(i)] {
				must(fmt.Errorf("entry %d is not in the tree", first+int64(i)), path)
			}
		}
	}
	fmt.Printf("ok entries %d\n", len(hashes))
	return hashes
}

type proofs struct {
	Inclusion []struct {
		Index  int64
		Hashes tlog.RecordProof
	}
	Consistency []struct {
		Old    int64
		Root   tlog.Hash
		Hashes tlog.TreeProof
	}
}

func checkProofs(path string, tree tlog.Tree, records []tlog.Hash) {
	data, err := os.ReadFile(path)
	must(err, "reading the proofs")
	var given proofs
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	must(decoder.Decode(&given), "reading the proofs")
	for _, p := range given.Inclusion {
		what := fmt.Sprintf("given inclusion of %d in %d", p.Index, tree.N)
		if p.Index < 0 || p.Index >= int64(len(records)) {
			must(fmt.Errorf("no such entry"), what)
		}
		must(tlog.CheckRecord(p.Hashes, tree.N, tree.Hash, p.Index, records[p.Index]), what)
		fmt.Println("ok", what)
	}
	for _, p := range given.Consistency {
		what := fmt.Sprintf("given consistency of %d with %d", p.Old, tree.N)
		must(tlog.CheckTree(p.Hashes, tree.N, tree.Hash, p.Old, p.Root), what)
		fmt.Println("ok", what)
	}
}

func main() {
	var old, indexes list
	url := flag.String("url", "", "the log's prefix, without a slash at its end")
	vkey := flag.String("vkey", "", "the log's Ed25519 verifier key")
	given := flag.String("proofs", "", "a file of proofs to check")
	flag.Var(&old, "old", "size:root of an older tree of the log")
	flag.Var(&indexes, "index", "an index to prove and check")
	flag.Parse()
	if *url == "" || *vkey == "" || flag.NArg() != 0 {
		flag.Usage()
		os.Exit(2)
	}

	tree := openCheckpoint(*url, *vkey)
	reader := tlog.TileHashReader(tree, &tiles{*url, map[tlog.Tile][]byte{}})
	root, err := tlog.TreeHash(tree.N, reader)
	must(err, "reading the root from the tiles")
	if root != tree.Hash {
		must(fmt.Errorf("another root"), "the tiles")
	}
	fmt.Println("ok tiles")
	records := readEntries(*url, tree, reader)

	for _, text := range indexes {
		index, err := strconv.ParseInt(text, 10, 64)
		must(err, "an index")
		what := fmt.Sprintf("inclusion of %d in %d", index, tree.N)
		proof, err := tlog.ProveRecord(tree.N, index, reader)
		must(err, "proving "+what)
		must(tlog.CheckRecord(proof, tree.N, tree.Hash, index, records[index]), what)
		fmt.Println("ok", what)
	}
	for _, text := range old {
		sizeText, rootText, _ := strings.Cut(text, ":")
		size, err := strconv.ParseInt(sizeText, 10, 64)
		must(err, "an older size")
		root, err := tlog.ParseHash(rootText)
		must(err, "an older root")
		what := fmt.Sprintf("consistency of %d with %d", size, tree.N)
		proof, err := tlog.ProveTree(tree.N, size, reader)
		must(err, "proving "+what)
		must(tlog.CheckTree(proof, tree.N, tree.Hash, size, root), what)
		fmt.Println("ok", what)
	}
	if *given != "" {
		checkProofs(*given, tree, records)
	}
}
