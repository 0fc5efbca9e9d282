namespace ZeroFlow.Stages.Chain;

/// <summary>
/// What a listing of the chain showed, in its order: tells whether a walk that ended somewhere ended too soon, because
/// something was lost there.
/// </summary>
internal sealed class ChainSightings
{
    private ChainPosition _lastTable;

    public void Add(ChainPosition at, long sizeBytes)
    {
        // Seals do not count: they are put further ahead of a busy writer, and by a takeover that a hole of the past led
        // astray, which notices before it writes a table.
        if (sizeBytes != SealObject.Bytes) _lastTable = at;
    }

    /// <summary>
    /// What cannot be behind the end of a chain; null when nothing is. A table of an epoch is made behind the seal of the
    /// one before; and behind the first free number stand only tables that were on their way with the one that is missing.
    /// </summary>
    public string? WhatShowsMoreThan(ChainPosition end)
    {
        bool isMore = _lastTable.Epoch > end.Epoch ||
                      (_lastTable.Epoch == end.Epoch && _lastTable.Number > end.Number + StoreOptions.UploadsInFlightMax);
        return isMore ? $"nothing is at {ChainNames.Table(end.NextNumber)}, but {ChainNames.Table(_lastTable)} is there" : null;
    }
}
