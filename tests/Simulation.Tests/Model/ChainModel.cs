namespace ZeroFlow.Simulation.Tests.Model;

/// <summary>
/// The chain protocol, small enough to be looked at whole: every order of every step of three writers, of whom each may
/// sleep between any two of its steps, die, or be late, and whose replies may be lost.
/// </summary>
/// <param name="rules">The rules that are kept.</param>
/// <param name="tables">Tables that each writer makes, at most <see cref="ChainState.Numbers"/>.</param>
/// <remarks>What is checked is in <see cref="Objection"/>. The real code's places for each step: docs/testing.md.</remarks>
internal sealed class ChainModel(ChainRules rules, int tables)
{
    private const int UploadsAhead = 2;

    /// <summary>Every state that one step leads to, with the step in words.</summary>
    public IEnumerable<(string Step, ChainState State)> Next(ChainState state)
    {
        for (int w = 0; w < ChainState.Writers; w++)
        {
            IEnumerable<(string, ChainState)> steps = state[w].Phase switch
            {
                WriterPhase.Absent => Begin(state, w),
                WriterPhase.Walking => Walk(state, w),
                WriterPhase.Owner => Own(state, w),
                _ => [],
            };
            foreach (var step in steps) yield return step;

            // A fenced writer's deletes may be on their way still.
            foreach (var step in Collect(state, w)) yield return step;
        }
    }

    /// <summary>What is wrong with a state; null when nothing is.</summary>
    public static string? Objection(ChainState state)
    {
        var (found, live) = Recover(state);
        if ((state.Acknowledged & ~found) != 0) return "a store that is opened now lacks what was acknowledged";
        if (live is var (epoch, number) && epoch > 0 && !ChainState.IsTable(state.CellAt(epoch, number)))
            return "the table that holds the data is not there";

        // Whoever took the store over has all that was acknowledged in the epochs before, then and later.
        for (int w = 0; w < ChainState.Writers; w++)
        {
            if (state[w].Phase is not (WriterPhase.Owner or WriterPhase.Fenced)) continue;
            uint before = ChainState.Bit(state[w].Epoch, 1, ChainState.TableOf(0)) - 1;
            if ((state.Acknowledged & before & ~state[w].Tables) != 0) return $"writer {w} took the store over without what was acknowledged";
        }

        return null;
    }

    private bool Has(ChainRules rule) => rules.HasFlag(rule);

    // What an opening would find that nobody disturbs, and the place of the last table, which is all that lives.
    private static (uint Tables, (int Epoch, int Number) Live) Recover(ChainState state)
    {
        var (epoch, number) = ChainState.PlaceOf(state.Checkpoint);
        var live = (epoch, number);
        if (epoch == 0) epoch = 1;
        uint tables = state.CheckpointTables;
        while (epoch <= ChainState.Epochs && number <= ChainState.Numbers)
        {
            byte cell = state.CellAt(epoch, number + 1);
            if (ChainState.IsTable(cell))
            {
                number++;
                tables |= ChainState.Bit(epoch, number, cell);
                live = (epoch, number);
            }
            else if (ChainState.IsSeal(cell))
            {
                (epoch, number) = (epoch + 1, 0);
            }
            else
            {
                break;
            }
        }

        return (tables, live);
    }

    private static IEnumerable<(string, ChainState)> Begin(ChainState state, int w)
    {
        ChainState next = state.Copy();
        var (epoch, number) = ChainState.PlaceOf(state.Checkpoint);
        next[w] = new ChainState.Writer
        {
            Phase = WriterPhase.Walking,
            Epoch = (byte)Math.Max(1, epoch),
            Number = (byte)number,
            StartedFrom = state.Checkpoint,
            Tables = state.CheckpointTables,
        };
        yield return ($"{w} begins to walk", next);
    }

    // Takeover.SealAtEndAsync: read the next number; go on, or put the seal there.
    private IEnumerable<(string, ChainState)> Walk(ChainState state, int w)
    {
        ChainState.Writer writer = state[w];
        if (writer.Epoch >= ChainState.Epochs || writer.Number > ChainState.Numbers) yield break;
        byte cell = state.CellAt(writer.Epoch, writer.Number + 1);
        ChainState next = state.Copy();
        ref ChainState.Writer walker = ref next[w];
        if (ChainState.IsTable(cell))
        {
            walker.Number++;
            walker.Tables |= ChainState.Bit(walker.Epoch, walker.Number, cell);
            yield return ($"{w} reads a table", next);
            yield break;
        }

        if (ChainState.IsSeal(cell))
        {
            (walker.Epoch, walker.Number) = Has(ChainRules.SealEndsEpoch) ? ((byte)(walker.Epoch + 1), (byte)0) : (walker.Epoch, (byte)(walker.Number + 1));
            yield return ($"{w} reads a seal", next);
            yield break;
        }

        if (Has(ChainRules.SealFirst)) next.Put(walker.Epoch, walker.Number + 1, ChainState.SealOf(w));
        bool isOvertaken = Has(ChainRules.NotOvertaken) && state.Checkpoint > writer.StartedFrom;
        walker = isOvertaken
            ? default
            : walker with { Phase = WriterPhase.Owner, Epoch = (byte)(walker.Epoch + 1), Number = 0, Known = 0 };
        yield return (isOvertaken ? $"{w} seals, was overtaken, and starts over" : $"{w} seals and owns", next);
    }

    private IEnumerable<(string, ChainState)> Own(ChainState state, int w)
    {
        ChainState.Writer writer = state[w];
        for (int number = writer.Number + 1; number <= Math.Min(tables, writer.Number + UploadsAhead); number++)
        {
            if ((writer.Known & (1 << number)) == 0)
            {
                foreach (var step in Upload(state, w, number)) yield return step;
            }
        }

        int next = FirstKnown(writer);
        if (next > 0)
        {
            ChainState committed = state.Copy();
            ref ChainState.Writer owner = ref committed[w];
            uint bit = ChainState.Bit(writer.Epoch, next, ChainState.TableOf(w));
            owner.Number = (byte)next;
            owner.Tables |= bit;
            committed.Acknowledged |= bit;
            yield return ($"{w} commits and acknowledges {writer.Epoch}/{next}", committed);
        }

        byte here = ChainState.Position(writer.Epoch, writer.Number);
        if (writer.Number > 0 && here > state.Checkpoint)
        {
            ChainState stored = state.Copy();
            (stored.Checkpoint, stored.CheckpointTables) = (here, writer.Tables);
            stored[w].Stored = here;
            yield return ($"{w} stores a checkpoint at {writer.Epoch}/{writer.Number}", stored);
        }
    }

    // The number that the commit stage takes next: the one behind the last, if it is known to be there.
    private int FirstKnown(in ChainState.Writer writer)
    {
        for (int number = writer.Number + 1; number <= ChainState.Numbers; number++)
        {
            if ((writer.Known & (1 << number)) != 0) return number;
            if (Has(ChainRules.PrefixOnly)) return 0;
        }

        return 0;
    }

    // UploadStage: a PUT whose reply comes, one whose reply is lost, and the look at a name that was taken.
    private IEnumerable<(string, ChainState)> Upload(ChainState state, int w, int number)
    {
        int epoch = state[w].Epoch;
        byte cell = state.CellAt(epoch, number), own = ChainState.TableOf(w);
        if (cell == ChainState.Empty || !Has(ChainRules.CreateIfAbsent))
        {
            ChainState lost = state.Copy();
            lost.Put(epoch, number, own);
            yield return ($"{w} uploads {epoch}/{number}, and the reply is lost", lost);
            ChainState created = lost.Copy();
            created[w].Known |= (byte)(1 << number);
            yield return ($"{w} uploads {epoch}/{number}", created);
            yield break;
        }

        ChainState read = state.Copy();
        bool isOwn = cell == own || !Has(ChainRules.ReadBack);
        if (isOwn) read[w].Known |= (byte)(1 << number);
        else read[w].Phase = WriterPhase.Fenced;
        yield return (isOwn ? $"{w} finds its own {epoch}/{number}" : $"{w} finds {epoch}/{number} taken and is fenced", read);
    }

    // Collector: behind a checkpoint of its own, everything but the last table is dead.
    private IEnumerable<(string, ChainState)> Collect(ChainState state, int w)
    {
        ChainState.Writer writer = state[w];
        if (writer.Phase is not (WriterPhase.Owner or WriterPhase.Fenced)) yield break;
        byte until = Has(ChainRules.CheckpointFirst) ? writer.Stored : ChainState.Position(writer.Epoch, writer.Number);
        if (!Has(ChainRules.LiveStays) && until > 0) until++;
        for (byte position = 0; position < until; position++)
        {
            var (epoch, number) = ChainState.PlaceOf(position);
            byte cell = state.CellAt(epoch, number);
            bool isTable = ChainState.IsTable(cell) && (writer.Tables & ChainState.Bit(epoch, number, cell)) != 0;
            if (!isTable && (Has(ChainRules.SealsStay) || !ChainState.IsSeal(cell))) continue;
            ChainState next = state.Copy();
            next.Put(epoch, number, ChainState.Empty);
            yield return ($"{w} deletes {epoch}/{number}", next);
        }
    }
}
