"""Cohere's own client, unmodified, against the server."""

from typing import Any

import cohere
import pytest
from gateway_fixtures import Server

DOCUMENTS = ["Fargo", "Toy Story", "Titanic"]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_coheres_client_ranks(torch_server: Server, version: str) -> None:
    client: Any = (cohere.Client if version == "v1" else cohere.ClientV2)(
        api_key=torch_server.key, base_url=torch_server.url
    )
    for query in ("u00001", "Is it for the rain?"):
        asked = {"model": "genrec", "query": query, "documents": DOCUMENTS}
        results = client.rerank(**asked, top_n=2).results
        with torch_server.client() as plain:
            wanted = plain.post(f"/{version}/rerank", json=asked).json()["results"]
        assert [r.index for r in results] == [r["index"] for r in wanted[:2]]
        assert [r.relevance_score for r in results] == pytest.approx(
            [r["relevance_score"] for r in wanted[:2]], abs=1e-4
        )
    with pytest.raises(cohere.BadRequestError, match="documents"):
        client.rerank(model="genrec", query="0", documents=[])
    with pytest.raises(cohere.UnauthorizedError):
        type(client)(api_key="gr-wrong", base_url=torch_server.url).rerank(
            model="genrec", query="0", documents=DOCUMENTS
        )


def test_coheres_first_client_ranks_objects_and_gets_them_back(torch_server: Server) -> None:
    client = cohere.Client(api_key=torch_server.key, base_url=torch_server.url)
    documents: Any = [{"text": text, "year": "1996"} for text in DOCUMENTS]
    reply = client.rerank(model="genrec", query="0", documents=documents, return_documents=True)
    assert sorted(r.index for r in reply.results) == [0, 1, 2]
    for result in reply.results:
        assert result.document is not None
        assert result.document.text == DOCUMENTS[result.index]
