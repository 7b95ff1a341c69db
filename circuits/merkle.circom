pragma circom 2.1.0;

include "poseidon.circom";

// One level of a Merkle path: the node above `node`, which is the right child if `isRight` is 1.
template Level() {
    signal input node;
    signal input sibling;
    signal input isRight;
    signal output above;

    isRight * (isRight - 1) === 0;
    signal moved <== isRight * (sibling - node);
    above <== Hash()(node + moved, sibling - moved);
}

// Somebody who knows the secrets behind one leaf of the tree signals `message`, once per `scope`.
//
// The leaf is the hash of two secrets. The nullifier binds one of them to the scope: a second
// signal of the same member in the same scope has the same nullifier, and without the secrets
// nobody can tell which leaf it belongs to. The scope comes first there and the secret first in
// the leaf, so that no scope makes a nullifier equal a leaf.
template Member(depth) {
    signal input message;
    signal input scope;
    signal input identity;
    signal input trapdoor;
    signal input siblings[depth];
    signal input isRight[depth];
    signal output root;
    signal output nullifier;

    signal nodes[depth + 1];
    nodes[0] <== Hash()(identity, trapdoor);
    for (var level = 0; level < depth; level++) {
        nodes[level + 1] <== Level()(nodes[level], siblings[level], isRight[level]);
    }
    root <== nodes[depth];
    nullifier <== Hash()(scope, identity);

    // A public signal that no constraint uses could be changed in a finished proof.
    signal bound <== message * message;
}

component main {public [message, scope]} = Member(20);
