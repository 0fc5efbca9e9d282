using Xunit;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Engine;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Tests.Map;

/// <summary>
/// An export with its snapshots and clones against arrays of sectors: forks, deletions, rollbacks, writes, settled tables
/// that are late, checkpoints and new starts from them, in random order.
/// </summary>
public sealed class MapFamilyTests
{
    private const int Sector = 4096;
    private const int Chunk = 16 * 1024;
    private const long Size = (2 * MapPage.Span) + (3 * Chunk);
    private const int Sectors = (int)(Size / Sector);
    private static readonly long[] Neighbourhoods = [0, MapPage.Span - (4 * Chunk), Size - (4 * Chunk)];

    [Theory]
    [InlineData(1, 1L << 30)]
    [InlineData(2, 1L << 30)]
    [InlineData(3, 0L)]
    [InlineData(4, 0L)]
    [InlineData(5, 2000L)]
    [InlineData(6, 2000L)]
    public async Task Every_member_of_a_family_reads_like_an_array_of_its_own(int seed, long pageBudgetBytes)
    {
        await using var bench = new MapBench(Size, pageBudgetBytes);
        var run = new Run(bench, new Random(seed));
        for (int step = 0; step < 600; step++) await run.StepAsync();
        await run.FinishSettlingAsync();
        await run.CheckAsync();
        await run.CheckChangesAsync();
        await bench.ReopenAsync();
        await run.CheckAsync();
        await run.CheckChangesAsync();
        await run.CheckCountsAsync();

        Assert.True(run.MovedAlone <= run.Told / 20, $"{run.MovedAlone} of {run.Told} sectors were told for settling alone.");

        // What nobody has any more takes no place.
        run.DeleteAll();
        await bench.CheckpointAsync();
        Assert.All(bench.Tables.All(), t => Assert.Equal(0, t.Table.LiveBytes));
    }

    private sealed class Run(MapBench bench, Random random)
    {
        private readonly Dictionary<uint, int[]> _members = new() { [MapBench.Export.Value] = new int[Sectors] };
        private readonly HashSet<uint> _snapshots = [];

        // Which write every sector of every member comes from: a fork has the same ones.
        private readonly Dictionary<uint, int[]> _writes = new() { [MapBench.Export.Value] = new int[Sectors] };
        private readonly HashSet<long> _settled = [];
        private readonly Dictionary<(int Table, int Frame), (long Offset, int[] Values)> _frames = [];
        private readonly List<WrittenRange> _written = [];
        private (ChainPosition AsOf, List<LivePiece> Pieces)? _settling;
        private int _value;
        private int _write;
        private uint _lastId = MapBench.Export.Value;

        public int Told { get; private set; }

        public int MovedAlone { get; private set; }

        public async Task StepAsync()
        {
            switch (random.Next(24))
            {
                case 0 when _members.Count < 6:
                    Fork();
                    break;
                case 1 when _members.Count > 1:
                    Delete(Any());
                    break;
                case 2 when _snapshots.Count > 0:
                    RollBack();
                    break;
                case 3 when _settling is null:
                    await BeginSettlingAsync();
                    break;
                case 4 or 5:
                    await FinishSettlingAsync();
                    break;
                case 6 when _settling is null:
                    await bench.CheckpointAsync();
                    await CheckCountsAsync();
                    break;
                case 7 when _settling is null:
                    await bench.ReopenAsync();
                    await CheckCountsAsync();
                    break;
                case 8:
                    await CheckAsync();
                    await CheckChangesAsync();
                    break;
                default:
                    Write();
                    break;
            }
        }

        public void DeleteAll()
        {
            foreach (uint id in _members.Keys.ToList()) Delete(id);
        }

        public async Task FinishSettlingAsync()
        {
            if (_settling is not { } settling) return;
            _settling = null;
            ulong tablesBack = bench.State.Position.Number + 1 - settling.AsOf.Number;
            var entries = new List<TableEntry>();
            foreach (LivePiece piece in settling.Pieces)
            {
                entries.Add(new TableEntry(
                    TableEntryKind.Settled, FrameEncoding.Raw, piece.Maps[0], piece.Range.Offset, piece.Range.Length, 77, (uint)tablesBack));
            }

            for (int frame = 0; frame < settling.Pieces.Count; frame++)
            {
                foreach (ExportId map in settling.Pieces[frame].Maps.Skip(1))
                    entries.Add(entries[frame] with { Kind = TableEntryKind.SettledAgain, Export = map, SealedBytes = frame });
            }

            int table = bench.Commit([], entries);
            for (int frame = 0; frame < settling.Pieces.Count; frame++)
            {
                LivePiece piece = settling.Pieces[frame];
                var (offset, values) = _frames[(piece.Frame.Key.Table, piece.Frame.Key.Frame)];
                int skip = (int)((piece.Range.Offset - offset) / Sector);
                _frames[(table, frame)] = (piece.Range.Offset, values[skip..(skip + (int)(piece.Range.Length / Sector))]);
                _written.Add(new WrittenRange(table, piece.Maps[0], piece.Range));
                for (long at = piece.Range.Offset; at < piece.Range.End; at += Sector) _settled.Add(at / Sector);
            }

            await Task.CompletedTask;
        }

        public async Task CheckAsync()
        {
            var hits = new List<CommittedHit>();
            foreach (var (id, sectors) in _members)
            {
                hits.Clear();
                CommittedMap map = bench.State.Find(new ExportId(id))!.Map;
                await map.CollectAsync(new BlockRange(0, Size), hits, TestContext.Current.CancellationToken);
                foreach (CommittedHit hit in hits)
                {
                    for (long at = hit.Range.Offset; at < hit.Range.End; at += Sector)
                        Assert.Equal(sectors[at / Sector], ValueAt(hit, at));
                }
            }
        }

        // Goal: every sector that differs is told; of the others only such as were written, or moved by settling, since
        // the members had the same.
        public async Task CheckChangesAsync()
        {
            foreach (uint one in _members.Keys)
            {
                foreach (uint other in _members.Keys)
                {
                    List<BlockRange> changed = await CompareAsync(one, other);
                    bool[] isTold = new bool[Sectors];
                    foreach (BlockRange range in changed) isTold.AsSpan((int)(range.Offset / Sector), (int)(range.Length / Sector)).Fill(true);
                    for (int i = 0; i < Sectors; i++)
                    {
                        if (isTold[i]) Told++;
                        if (isTold[i] && _writes[one][i] == _writes[other][i]) MovedAlone++;
                        if (isTold[i]) Assert.True(_writes[one][i] != _writes[other][i] || _settled.Contains(i), $"Sector {i} was left alone.");
                        else Assert.True(_members[one][i] == _members[other][i], $"Sector {i} differs.");
                    }
                }
            }
        }

        private async Task<List<BlockRange>> CompareAsync(uint one, uint other)
        {
            var changed = new List<BlockRange>();
            CommittedMap map = bench.State.Find(new ExportId(one))!.Map, since = bench.State.Find(new ExportId(other))!.Map;
            await map.CompareAsync(
                since, new BlockRange(0, Size), (new MapCursor(), new MapCursor()), changed, TestContext.Current.CancellationToken);
            Assert.All(changed, range => Assert.False(range.IsEmpty));
            Assert.All(changed.Zip(changed.Skip(1)), pair => Assert.True(pair.First.End <= pair.Second.Offset));
            return changed;
        }

        public async Task CheckCountsAsync()
        {
            Dictionary<int, long> live = await bench.RecountAsync(_members.Keys.Select(id => bench.State.Find(new ExportId(id))!.Map));
            foreach (var (ordinal, table) in bench.Tables.All())
            {
                // Tables since the last checkpoint are not counted yet.
                if (bench.Pages.ChangedBytes == 0) Assert.Equal(live.GetValueOrDefault(ordinal), table.LiveBytes);
            }
        }

        private int ValueAt(in CommittedHit hit, long at)
        {
            if (hit.Frame is not { } frame) return 0;
            var (offset, values) = _frames[(frame.Key.Table, frame.Key.Frame)];
            Assert.Equal(offset, frame.ExportOffset);
            return values[(at - offset) / Sector];
        }

        private uint Any() => _members.Keys.ElementAt(random.Next(_members.Count));

        private void Fork()
        {
            uint of = Any();
            uint id = ++_lastId;
            if (_snapshots.Contains(of))
            {
                bench.Commit([new CatalogChange.CreateClone(id, $"clone-{id}", of, DurabilityLevel.Journaled)], []);
            }
            else
            {
                bench.Commit([new CatalogChange.CreateSnapshots($"s{id}", 0, [new CatalogChange.SnapshotMember(id, of)])], []);
                _snapshots.Add(id);
            }

            _members[id] = [.. _members[of]];
            _writes[id] = [.. _writes[of]];
        }

        private void Delete(uint id)
        {
            bench.Commit([new CatalogChange.DeleteExport(id)], []);
            _members.Remove(id);
            _writes.Remove(id);
            _snapshots.Remove(id);
        }

        private void RollBack()
        {
            uint to = _snapshots.ElementAt(random.Next(_snapshots.Count));
            uint id = Any();
            if (_snapshots.Contains(id)) return;
            bench.Commit([new CatalogChange.RollBack(id, to)], []);
            _members[id] = [.. _members[to]];
            _writes[id] = [.. _writes[to]];
        }

        private void Write()
        {
            uint id = Any();
            if (_snapshots.Contains(id)) return;
            var entries = new List<TableEntry>();
            var values = new List<int[]>();
            for (int i = 0; i < 3; i++)
            {
                long from = Neighbourhoods[random.Next(Neighbourhoods.Length)] + (random.Next(16) * Sector);
                if (from >= Size) continue;
                bool isZero = random.Next(5) == 0;
                long room = isZero ? Size - from : Math.Min(Size, ((from / Chunk) + 1) * Chunk) - from;
                long length = isZero && random.Next(4) == 0 ? room : Math.Min(room, (1 + random.Next(4)) * Sector);
                var entry = new TableEntry(
                    isZero ? TableEntryKind.Zero : TableEntryKind.Frame, FrameEncoding.Raw, new ExportId(id), from, length, isZero ? 0 : 77);
                if (entries.Exists(other => other.Range.Offset < entry.Range.End && entry.Range.Offset < other.Range.End)) continue;
                entries.Add(entry);
            }

            int table = bench.Commit([], entries);
            int frame = 0;
            foreach (TableEntry entry in entries)
            {
                int[] written = new int[entry.Length / Sector];
                if (entry.HasFrame)
                {
                    for (int i = 0; i < written.Length; i++) written[i] = ++_value;
                    _frames[(table, frame++)] = (entry.Offset, written);
                    _written.Add(new WrittenRange(table, entry.Export, entry.Range));
                }

                written.CopyTo(_members[id], entry.Offset / Sector);
                _writes[id].AsSpan((int)(entry.Offset / Sector), written.Length).Fill(++_write);
            }
        }

        private async Task BeginSettlingAsync()
        {
            if (_written.Count == 0) return;
            int[] tables = [.. _written.Select(w => w.Ordinal).Distinct()];
            int[] chosen = [.. Enumerable.Range(0, 6).Select(_ => tables[random.Next(tables.Length)]).Distinct()];
            ChainPosition asOf = bench.State.Position;
            List<LivePiece> pieces = await new LiveFinder(bench.State).FindAsync(
                [.. _written.Where(w => chosen.Contains(w.Ordinal))], TestContext.Current.CancellationToken);
            _settling = (asOf, pieces);
        }
    }
}
