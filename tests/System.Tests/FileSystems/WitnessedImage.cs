using System.Buffers.Binary;
using System.Security.Cryptography;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.FileSystems;

/// <summary>A request as it passes a <see cref="Witness"/>.</summary>
internal sealed record WitnessedRequest(NbdCommand Command, long Offset, int Length, byte[] Data)
{
    /// <summary>Another request for the same place was under way at the same time, and one of the two changes it.</summary>
    public bool IsContended { get; set; }

    public bool Changes => Command is NbdCommand.Write or NbdCommand.Trim or NbdCommand.WriteZeroes;

    public bool Overlaps(WitnessedRequest other) =>
        Offset < other.Offset + other.Length && other.Offset < Offset + Length;
}

/// <summary>
/// What each sector of an export must hold, by what was answered. A sector is in doubt where a change was under way when its
/// connection was lost, failed, or met another change. Thread-safe.
/// </summary>
internal sealed class WitnessedImage(long bytes)
{
    private const int SectorBytes = 512;
    private const int MaxContradictions = 20;

    private readonly Lock _lock = new();
    private readonly ulong[] _known = new ulong[bytes / SectorBytes];
    private readonly bool[] _isInDoubt = new bool[bytes / SectorBytes];
    private readonly HashSet<WitnessedRequest> _underWay = new(ReferenceEqualityComparer.Instance);
    private readonly List<string> _contradictions = [];

    public long Bytes => bytes;

    /// <summary>Changes that were answered with success.</summary>
    public int Answered { get; private set; }

    /// <summary>Changes whose answer never came, because their connection was lost.</summary>
    public int Lost { get; private set; }

    /// <summary>The first places that held something else than what was answered.</summary>
    public IReadOnlyList<string> Contradictions
    {
        get
        {
            lock (_lock) return [.. _contradictions];
        }
    }

    public void Begin(WitnessedRequest request)
    {
        lock (_lock)
        {
            foreach (var other in _underWay)
            {
                if (!request.Overlaps(other)) continue;
                request.IsContended |= other.Changes;
                other.IsContended |= request.Changes;
            }

            _underWay.Add(request);
        }
    }

    /// <summary>The server has answered. Call it before the client can see the answer.</summary>
    public void Complete(WitnessedRequest request, bool succeeded)
    {
        lock (_lock)
        {
            _underWay.Remove(request);
            if (!request.Changes) return;
            if (succeeded) Answered++;
            var isKnown = succeeded && !request.IsContended;
            for (var at = 0; at < request.Length; at += SectorBytes)
            {
                var sector = (request.Offset + at) / SectorBytes;
                _isInDoubt[sector] = !isKnown;
                _known[sector] = request.Command == NbdCommand.Write ? Digest(request.Data.AsSpan(at, SectorBytes)) : 0;
            }
        }
    }

    /// <summary>The connection was lost before the answer.</summary>
    public void Lose(WitnessedRequest request)
    {
        lock (_lock)
        {
            if (_underWay.Contains(request) && request.Changes) Lost++;
        }

        Complete(request, succeeded: false);
    }

    /// <summary>Holds what a READ returned against what must be there.</summary>
    public void Check(WitnessedRequest read, long offset, ReadOnlySpan<byte> data)
    {
        lock (_lock)
        {
            if (!read.IsContended) Compare(offset, data, "A READ found", isRest: false);
        }
    }

    /// <summary>
    /// Reads the whole export from a server, with no request under way, and compares. What was in doubt is known from then
    /// on: a server that came back must not change its mind.
    /// </summary>
    public async Task CheckAllAsync(int port, string export, string when)
    {
        await using var client = await NbdClient.ConnectAsync(port, export);
        var piece = new byte[4 * 1024 * 1024];
        for (long offset = 0; offset < bytes; offset += piece.Length)
        {
            await client.ReadAsync(offset, piece);
            lock (_lock) Compare(offset, piece, when, isRest: true);
        }

        await client.DisconnectAsync();
    }

    private void Compare(long offset, ReadOnlySpan<byte> data, string when, bool isRest)
    {
        for (var at = 0; at < data.Length; at += SectorBytes)
        {
            var sector = (offset + at) / SectorBytes;
            if (_isInDoubt[sector] && !isRest) continue;
            var found = Digest(data.Slice(at, SectorBytes));
            if (_isInDoubt[sector]) (_isInDoubt[sector], _known[sector]) = (false, found);
            if (found == _known[sector] || _contradictions.Count == MaxContradictions) continue;
            _contradictions.Add($"{when} {Kind(found)} and not the answered {Kind(_known[sector])} in sector {sector}.");
        }
    }

    private static string Kind(ulong digest) => digest == 0 ? "zeros" : "data";

    private static ulong Digest(ReadOnlySpan<byte> sector) =>
        sector.ContainsAnyExcept((byte)0) ? BinaryPrimitives.ReadUInt64LittleEndian(SHA256.HashData(sector)) | 1 : 0;
}
