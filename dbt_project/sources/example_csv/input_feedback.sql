{{ absent_entity() }}
